//! Whether requests and responses find each other (S1.3).

use serde_json::json;

use super::{Finding, Severity, calls::Calls, percent};
use crate::render::grouped;

pub(super) fn findings(calls: &Calls, findings: &mut Vec<Finding>) {
    let it = calls.paired;
    let numbers = json!({
        "requests": it.all_requests, "responses": it.all_responses, "chains": calls.chains(), "whole_chains": it.whole,
        "responses_without_request": it.orphans, "requests_without_response": it.unanswered, "old_requests": it.old,
        "calls_without_parent": it.no_parent, "chains_without_root": it.rootless,
    });
    let finding = match () {
        () if it.all_requests == 0 => {
            Finding::new("answers", Severity::Problem, "there are responses, but no requests")
                .advise("requests go to other topics: name these too with --topics or kafka.topics")
        }
        () if it.all_responses == 0 => {
            Finding::new("answers", Severity::Problem, "there are requests, but no responses").advise(
                "responses go to other topics: name these too with --topics or kafka.topics; else every call would \
                     seem to hang",
            )
        }
        () if it.whole == 0 => {
            let sentence = format!(
                "none of {} chains is in the sample from its beginning, so nothing can be said of missing messages",
                grouped(calls.chains())
            );
            let advice = match it.rootless == calls.chains() {
                true => {
                    "every call has a parent: the topics with the first call of each chain are not read, or senders \
                         set parent_call_id where there is no parent"
                }
                false => "take a larger sample with --sample",
            };
            Finding::new("answers", Severity::Warning, sentence).advise(advice)
        }
        () if it.orphans + it.unanswered + it.no_parent > 0 => incomplete(it),
        () => {
            let sentence = format!(
                "in {} whole chains every response has its request, and every call its parent",
                grouped(it.whole)
            );
            Finding::new("answers", Severity::Ok, sentence)
        }
    };
    findings.push(finding.numbers(numbers));
}

fn incomplete(it: super::calls::Paired) -> Finding {
    let mut parts = Vec::new();
    if it.orphans > 0 {
        parts.push(format!(
            "{} of {} responses ({}) are without their request",
            grouped(it.orphans),
            grouped(it.responses),
            percent(it.orphans, it.responses)
        ));
    }
    if it.unanswered > 0 {
        parts.push(format!(
            "{} of {} requests ({}) that are older than a minute are without a response",
            grouped(it.unanswered),
            grouped(it.old),
            percent(it.unanswered, it.old)
        ));
    }
    if it.no_parent > 0 {
        parts.push(format!("{} calls name a parent that is not there", grouped(it.no_parent)));
    }
    let sentence = format!("in {} whole chains {}", grouped(it.whole), parts.join(", "));
    // Where a tenth is missing it is no accident of single messages.
    let much = |part: u64, whole: u64| part * 10 > whole;
    let broken = much(it.orphans, it.responses) || much(it.no_parent, it.requests);
    let severity = match () {
        () if broken => Severity::Problem,
        () if it.orphans + it.no_parent > 0 => Severity::Warning,
        () => Severity::Note,
    };
    let advice = match severity {
        Severity::Note => "calls that hang show like this; so do callees that answer nobody",
        _ => {
            "some services send only one side, or under other ids, or to topics that are not read: a verdict on such a \
              chain is `incomplete` and is not acted on"
        }
    };
    Finding::new("answers", severity, sentence).advise(advice)
}
