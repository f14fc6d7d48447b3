//! Random rules: every setting at values that a configuration may have, and limits so tight that stories reach them.

use arbitrary::Arbitrary;
use countermand::{
    model::{EffectClass, Span},
    policy::{
        BrakeSettings, CompensationRule, Consumers, InDoubt, InFlight, Limits, Mode, OnUndoFailure, OperationRule,
        Ordering, Pattern, Policy, Settings, Tolerated, Undeclared,
    },
};

/// Few calls, names and bytes, so that some hundred messages reach every limit.
#[must_use]
pub fn tight_limits() -> Limits {
    Limits {
        calls_per_chain: 20,
        depth: 6,
        answers_per_call: 4,
        memory: 300_000,
        names: 60,
        closed_chains: 50,
        command_bytes: 600,
    }
}

/// What a policy is made of. Each byte chooses among values that a configuration may have.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct PolicySeed {
    spans: [u8; 12],
    words: u8,
    more: u8,
    attempts: u8,
    brake: u8,
    rules: [RuleSeed; 3],
    routes: u8,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct RuleSeed {
    pattern: u8,
    says: u8,
    span: u8,
    value: u8,
}

/// Spans that make things coincide, and the extremes that a configuration may have (ten years).
#[must_use]
pub fn span(choice: u8) -> Span {
    const MILLIS: [u64; 12] =
        [0, 1, 50, 200, 1_000, 2_000, 5_000, 30_000, 60_000, 3_600_000, 86_400_000, 87_600 * 3_600_000];
    Span(MILLIS[usize::from(choice) % MILLIS.len()])
}

fn pick<T: Copy>(values: &[T], choice: u8) -> T {
    values[usize::from(choice) % values.len()]
}

impl PolicySeed {
    /// The policy. A first byte of zero leaves the defaults for all spans: they belong together.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let mut policy = Policy { settings: self.settings(), ..Policy::default() };
        policy.catalogue.rules = self.rules.iter().filter(|seed| seed.says != 0).map(rule).collect();
        policy.catalogue.routes = match self.routes % 4 {
            0 => Some(["s1", "s2", "s3"].map(|name| Pattern::new(name).expect("a pattern")).to_vec()),
            _ => None,
        };
        policy
    }

    fn settings(&self) -> Settings {
        let (per_edge, overall) = pick(&[(0, 0), (2, 0), (0, 3), (60, 300)], self.brake);
        let brake = BrakeSettings { per_edge, overall };
        let mut settings = Settings {
            max_attempts: 1 + u32::from(self.attempts % 5),
            mode: pick(&[Mode::Auto, Mode::Auto, Mode::Approve, Mode::Observe], self.words),
            in_flight: pick(&[InFlight::Wait, InFlight::PlanNow], self.words >> 2),
            tolerated: pick(&[Tolerated::Undo, Tolerated::Report], self.words >> 3),
            undeclared: pick(&[Undeclared::ReadOnly, Undeclared::Effect], self.words >> 4),
            ordering: pick(&[Ordering::Parallel, Ordering::Strict], self.words >> 5),
            on_undo_failure: pick(&[OnUndoFailure::Stop, OnUndoFailure::Continue], self.words >> 6),
            act_on_incomplete: self.words >> 7 == 1,
            attributes: ["tenant".to_owned()].into(),
            brake,
            limits: tight_limits(),
            ..Settings::default()
        };
        if self.more & 1 == 1 {
            settings.timeout = Some(span(self.more >> 1));
        }
        if self.spans[0] != 0 {
            let mut spans = self.spans.iter().map(|&choice| span(choice));
            let mut next = || spans.next().unwrap_or_default();
            settings.timeout_grace = next();
            settings.decide_grace = next();
            settings.clock_skew = next();
            settings.max_age = next();
            settings.late_window = next();
            settings.linger = next();
            settings.answer_timeout = next();
            settings.backoff = next();
            settings.max_backoff = next();
            settings.max_plan_age = next();
            settings.own_undo_window = next();
        }
        settings
    }
}

fn rule(seed: &RuleSeed) -> OperationRule {
    let pattern = pick(&["*", "s1/*", "s2/Do0", "*/Do1", "s3/Do*", "s0/*"], seed.pattern);
    let says = |bit: u8| seed.says >> bit & 1 == 1;
    let mut rule = OperationRule::new(Pattern::new(pattern).expect("a pattern"));
    rule.timeout = says(0).then(|| span(seed.span));
    rule.effect = says(1).then(|| {
        pick(
            &[EffectClass::ReadOnly, EffectClass::Compensatable, EffectClass::Pivot, EffectClass::Retriable],
            seed.value,
        )
    });
    rule.compensation = says(2).then(|| CompensationRule {
        operation: "Undo".to_owned(),
        inquire_operation: if seed.value & 1 == 1 { "Ask".to_owned() } else { String::new() },
        ..CompensationRule::default()
    });
    rule.in_doubt = says(3).then(|| pick(&[InDoubt::Undo, InDoubt::Inquire, InDoubt::Hold], seed.value >> 2));
    rule.mode = says(4).then(|| pick(&[Mode::Auto, Mode::Approve, Mode::Observe], seed.value >> 4));
    rule.consumers =
        says(5).then(|| Consumers { services: vec!["s1".to_owned(), "s4".to_owned()], report_within: span(seed.span) });
    rule.compensates_itself = says(6).then_some(seed.value & 2 == 2);
    if says(7) {
        rule.own_undo_window = Some(span(seed.span));
        rule.max_age = Some(span(seed.span.wrapping_add(1)));
    }
    rule
}
