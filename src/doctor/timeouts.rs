//! Timeouts of calls: who has one, and which ones the times of answers suggest (S2.1, S2.2).

use serde_json::json;

use super::{Finding, OperationSeen, Severity, operations::quantile, percent};
use crate::{model::Span, policy::load::Config, render::grouped};

/// Answers that a timeout is proposed from, at least: of fewer than a thousand nobody can tell 99.9 %.
pub(super) const LEAST_ANSWERS: usize = 1_000;

/// A timeout is this many times what 99.9 % of the answers took: a timeout there would fail every thousandth good call.
const MARGIN: u64 = 2;

/// The shortest timeout that is proposed: below it the ways over the bus count more than the work.
const SHORTEST: Span = Span::millis(100);

/// The timeout that these times of answers suggest, from shortest to longest: twice their 99.9 % quantile, rounded up to
/// 1, 1.5, 2, 3, 5 or 7.5 times a power of ten. `None`: there are too few.
pub(super) fn proposed(sorted: &[Span], longest: Span) -> Option<Span> {
    let nearly_all = quantile(sorted, 999).filter(|_| sorted.len() >= LEAST_ANSWERS)?;
    Some(round_up(nearly_all.times(MARGIN)).max(SHORTEST).min(longest))
}

fn round_up(span: Span) -> Span {
    let mut unit: u64 = 100;
    loop {
        for tenths in [10, 15, 20, 30, 50, 75] {
            let step = unit.saturating_mul(tenths) / 10;
            if step >= span.0 {
                return Span(step);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

pub(super) fn findings(operations: &[OperationSeen], config: &Config, findings: &mut Vec<Finding>) {
    let calls: u64 = operations.iter().map(|it| it.calls - it.events).sum();
    if calls == 0 {
        return;
    }
    let with: u64 = operations.iter().map(|it| it.with_timeout).sum();
    let policy = config.policy();
    let lacking: Vec<&OperationSeen> = operations
        .iter()
        .filter(|it| it.with_timeout < it.calls - it.events)
        .filter(|it| policy.catalogue.resolve(&policy.settings, &it.service, &it.operation).timeout.is_none())
        .collect();
    let without: u64 = lacking.iter().map(|it| it.calls - it.events - it.with_timeout).sum();
    let proposed = lacking.iter().filter(|it| it.proposed.is_some()).count();
    let numbers = json!({
        "calls": calls, "with_timeout": with, "without_any": without, "operations_without": lacking.len(),
        "operations_with_a_proposal": proposed, "answers_needed": LEAST_ANSWERS,
    });
    if without == 0 {
        let by = if with == calls { "says how long it waits" } else { "has a timeout, its own or a configured one" };
        findings.push(Finding::new("timeouts", Severity::Ok, format!("every call {by}")).numbers(numbers));
        return;
    }
    let sentence = format!(
        "{} of {} calls ({}) of {} operations have no timeout, neither their own nor a configured one: a callee that never \
         answers shows only after engine.max_age ({})",
        grouped(without),
        grouped(calls),
        percent(without, calls),
        lacking.len(),
        config.engine.max_age
    );
    let mut advice = "let callers say in each request how long they wait".to_owned();
    if proposed > 0 {
        advice += &format!(
            "; for {proposed} of these operations the configuration below has one: twice the time in which 99.9 % of the \
             answers came"
        );
    }
    if proposed < lacking.len() {
        let fewer = lacking.len() - proposed;
        advice += &format!(
            "; of {fewer} fewer than {} answers were seen, too few to propose one",
            grouped(LEAST_ANSWERS as u64)
        );
    }
    findings.push(Finding::new("timeouts", Severity::Warning, sentence).advise(advice).numbers(numbers));
}

#[cfg(test)]
mod tests {
    use super::{LEAST_ANSWERS, proposed};
    use crate::model::Span;

    #[test]
    fn a_timeout_is_proposed_from_enough_answers_and_rounded_up() {
        let day = Span::hours(24);
        let answers = |n: usize, slow: u64| -> Vec<Span> {
            let mut all = vec![Span::millis(20); n - 2];
            all.extend([Span::millis(slow), Span::millis(slow)]);
            all
        };
        assert_eq!(proposed(&answers(LEAST_ANSWERS - 1, 700), day), None);
        for (slow, timeout) in
            [(20, 100), (50, 100), (51, 150), (700, 1_500), (1_000, 2_000), (1_001, 3_000), (4_000, 10_000)]
        {
            assert_eq!(proposed(&answers(LEAST_ANSWERS, slow), day), Some(Span::millis(timeout)), "{slow} ms");
        }
        assert_eq!(proposed(&answers(2_001, 9_000), day), Some(Span::millis(100)), "two of 2,001 are less than 0.1 %");
        assert_eq!(proposed(&answers(LEAST_ANSWERS, 3_600_000), Span::hours(1)), Some(Span::hours(1)));
    }
}
