//! What calls change, and whether it can be undone (S4.6).

use serde_json::json;

use super::{Finding, OperationSeen, Severity, percent, some_of};
use crate::{
    policy::load::Config,
    render::{grouped, safe},
};

pub(super) fn findings(operations: &[OperationSeen], config: &Config, findings: &mut Vec<Finding>) {
    let calls: u64 = operations.iter().map(|it| it.calls).sum();
    let effects: u64 = operations.iter().map(|it| it.with_effect).sum();
    let compensated: u64 = operations.iter().map(|it| it.with_compensation).sum();
    if calls == 0 {
        return;
    }
    let policy = config.policy();
    let ruled = |it: &&OperationSeen| {
        let known = policy.catalogue.resolve(&policy.settings, &it.service, &it.operation);
        known.compensation.is_some()
    };
    let by_rule = operations.iter().filter(ruled).count();
    let helpless: Vec<String> = operations
        .iter()
        .filter(|it| it.with_effect > it.with_compensation && !ruled(it))
        .map(|it| safe(&format!("{}/{}", it.service, it.operation)).into_owned())
        .collect();
    let numbers = json!({
        "calls": calls, "with_effect": effects, "with_compensation": compensated, "operations_with_a_rule": by_rule,
        "operations_without_undo": helpless.len(),
    });
    let sentence = format!(
        "{} of {} calls ({}) say that they have an effect, {} ({}) what undoes it",
        grouped(effects),
        grouped(calls),
        percent(effects, calls),
        grouped(compensated),
        percent(compensated, calls)
    );
    let finding = match () {
        () if effects == 0 && by_rule == 0 => {
            let sentence = "no call says that it has an effect, and no rule does: failing edges are found, but there is \
                            nothing to undo";
            let advice =
                "let requests or responses say `effect` with its compensation, or write [[operations]] with `undo`";
            Finding::new("effects", Severity::Warning, sentence).advise(advice)
        }
        () if !helpless.is_empty() => {
            let sentence = format!("{sentence}; nothing undoes some calls of {}", some_of(&helpless));
            let advice = "a failed chain with such an effect needs an operator: say what undoes it in the message, or with \
                          `undo` in its rule";
            Finding::new("effects", Severity::Warning, sentence).advise(advice)
        }
        () => Finding::new("effects", Severity::Ok, sentence),
    };
    findings.push(finding.numbers(numbers));
}
