//! What is known of services and operations beforehand: rules with patterns, resolved once for each operation.

use std::collections::BTreeMap;

use super::{
    pattern::Pattern,
    payloads::{Payloads, ShownField},
    settings::{InDoubt, Mode, Settings},
    undo::MessageRule,
};
use crate::model::{EffectClass, Span};

/// A compensation as the catalogue gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompensationRule {
    /// Operation that undoes.
    pub operation: String,
    /// Operation that asks for the state; empty: none.
    pub inquire_operation: String,
    /// Topic or queue for services that don't know our commands; empty: the usual one.
    pub route: String,
    /// Headers for that route.
    pub headers: BTreeMap<String, String>,
    /// What it is sent instead of a command; `None`: a command.
    pub message: Option<Box<MessageRule>>,
}

/// The consumers of an event, and by when each must have reported (S1.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumers {
    /// The services.
    pub services: Vec<String>,
    /// Their time limit.
    pub report_within: Span,
}

/// One rule: what it says of the operations that it matches. What it leaves open, less specific rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRule {
    /// Matches `service/Operation`.
    pub pattern: Pattern,
    /// Timeout of calls that give none (S2.1).
    pub timeout: Option<Span>,
    /// Class of the effect (S4.6).
    pub effect: Option<EffectClass>,
    /// What undoes it (S4.6).
    pub compensation: Option<CompensationRule>,
    /// What may be said of an effect in doubt (S4.3).
    pub in_doubt: Option<InDoubt>,
    /// Mode (S5.7).
    pub mode: Option<Mode>,
    /// Age at which a chain with this root is decided (S2.2).
    pub max_age: Option<Span>,
    /// Time for the service to undo by itself (S4.9).
    pub own_undo_window: Option<Span>,
    /// The service compensates itself: what is at and below it is only reported (S4.9).
    pub compensates_itself: Option<bool>,
    /// Consumers of the event (S1.7).
    pub consumers: Option<Consumers>,
    /// Fields of its payloads that people may see (S8.4).
    pub show: Option<Vec<ShownField>>,
}

impl OperationRule {
    /// A rule that says nothing yet.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            timeout: None,
            effect: None,
            compensation: None,
            in_doubt: None,
            mode: None,
            max_age: None,
            own_undo_window: None,
            compensates_itself: None,
            consumers: None,
            show: None,
        }
    }
}

/// What holds for one operation of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationPolicy {
    /// Timeout of calls that give none; `None`: they never time out.
    pub timeout: Option<Span>,
    /// Class of the effect, if the catalogue has one.
    pub effect: Option<EffectClass>,
    /// What undoes it, if the catalogue says so.
    pub compensation: Option<CompensationRule>,
    /// What may be said of an effect in doubt where the compensation does not say.
    pub in_doubt: InDoubt,
    /// Mode.
    pub mode: Mode,
    /// Age at which a chain with this root is decided.
    pub max_age: Span,
    /// Time for services to undo by themselves; of a root operation, or of a service below.
    pub own_undo_window: Span,
    /// What is at and below it is only reported.
    pub compensates_itself: bool,
    /// Consumers of the event.
    pub consumers: Option<Consumers>,
    /// Commands may go to the service (S5.15).
    pub routed: bool,
    /// Fields of its payloads that people may see (S8.4).
    pub show: Vec<ShownField>,
}

impl OperationPolicy {
    /// Whether the catalogue says that the operation has an effect (S4.6).
    #[must_use]
    pub fn has_effect(&self) -> bool {
        self.effect.is_some_and(|class| class != EffectClass::ReadOnly) || self.compensation.is_some()
    }
}

/// All rules, and who may get commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// The rules, in the order of the file.
    pub rules: Vec<OperationRule>,
    /// Services that commands may go to (S5.15). `None`: every service, as in scenarios.
    pub routes: Option<Vec<Pattern>>,
    /// Topics that a message may have the commands about it sent to, beside those that a rule names (S5.15). `None`:
    /// every topic but the agent's own.
    pub topics: Option<Vec<Pattern>>,
    /// What the agent itself writes, and what is for it alone: no route leads there, whoever asks for it.
    pub own: Vec<Pattern>,
    /// Where it reads what services tell each other: only what is such a message itself goes there.
    pub inputs: Vec<Pattern>,
    /// The topic or queue in which it reads replies.
    pub replies: String,
    /// The types of payloads that are known.
    pub payloads: Payloads,
}

impl Catalogue {
    /// Whether commands may take `route` (S5.15); an empty one is the service's usual one. `is_envelope`: an envelope goes
    /// out in the command's place.
    #[must_use]
    pub fn leads(&self, route: &str, is_envelope: impl FnOnce() -> bool) -> bool {
        let is_among = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(route));
        let ruled = || self.rules.iter().filter_map(|rule| rule.compensation.as_ref()).any(|undo| undo.route == route);
        let allowed = |topics: &Vec<Pattern>| topics.iter().any(|topic| topic.matches(route));
        route.is_empty()
            || !is_among(&self.own)
                && (self.topics.as_ref().is_none_or(allowed) || ruled())
                && (!is_among(&self.inputs) || is_envelope())
    }

    /// What holds for `operation` of `service`: of the rules that match, the most specific one that says something, and
    /// of equally specific ones the later.
    #[must_use]
    pub fn resolve(&self, settings: &Settings, service: &str, operation: &str) -> OperationPolicy {
        let name = format!("{service}/{operation}");
        let mut rules: Vec<&OperationRule> = self.rules.iter().filter(|rule| rule.pattern.matches(&name)).collect();
        rules.sort_by_key(|rule| rule.pattern.weight());
        let mut policy = OperationPolicy {
            timeout: settings.timeout,
            effect: None,
            compensation: None,
            in_doubt: InDoubt::Hold,
            mode: settings.mode,
            max_age: settings.max_age,
            own_undo_window: settings.own_undo_window,
            compensates_itself: false,
            consumers: None,
            routed: self.routes.as_ref().is_none_or(|routes| routes.iter().any(|route| route.matches(service))),
            show: Vec::new(),
        };
        for rule in rules {
            rule.apply(&mut policy);
        }
        policy
    }
}

impl OperationRule {
    fn apply(&self, policy: &mut OperationPolicy) {
        if self.timeout.is_some() {
            policy.timeout = self.timeout;
        }
        if self.effect.is_some() {
            policy.effect = self.effect;
        }
        if let Some(compensation) = &self.compensation {
            policy.compensation = Some(compensation.clone());
        }
        policy.in_doubt = self.in_doubt.unwrap_or(policy.in_doubt);
        policy.mode = self.mode.unwrap_or(policy.mode);
        policy.max_age = self.max_age.unwrap_or(policy.max_age);
        policy.own_undo_window = self.own_undo_window.unwrap_or(policy.own_undo_window);
        policy.compensates_itself = self.compensates_itself.unwrap_or(policy.compensates_itself);
        if let Some(consumers) = &self.consumers {
            policy.consumers = Some(consumers.clone());
        }
        if let Some(show) = &self.show {
            policy.show.clone_from(show);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, CompensationRule, OperationRule, Pattern};
    use crate::{
        model::Span,
        policy::settings::{Mode, Settings},
    };

    #[test]
    fn the_most_specific_rule_that_says_something_wins() {
        let rule = |pattern: &str, mode, timeout| OperationRule {
            mode,
            timeout,
            ..OperationRule::new(Pattern::new(pattern).unwrap())
        };
        let catalogue = Catalogue {
            rules: vec![
                rule("payment/Charge", None, Some(Span::secs(2))),
                rule("payment/*", Some(Mode::Approve), Some(Span::secs(9))),
                rule("*", Some(Mode::Auto), None),
            ],
            routes: Some(vec![Pattern::new("pay*").unwrap()]),
            ..Catalogue::default()
        };
        let settings = Settings::default();
        let charge = catalogue.resolve(&settings, "payment", "Charge");
        assert_eq!((charge.mode, charge.timeout, charge.routed), (Mode::Approve, Some(Span::secs(2)), true));
        let other = catalogue.resolve(&settings, "stock", "Take");
        assert_eq!((other.mode, other.timeout, other.routed), (Mode::Auto, None, false));
    }

    #[test]
    fn a_message_does_not_choose_where_commands_go() {
        let pattern = |text: &str| Pattern::new(text).unwrap();
        let compensation = Some(CompensationRule { route: "legacy.refunds".into(), ..CompensationRule::default() });
        let catalogue = Catalogue {
            rules: vec![OperationRule { compensation, ..OperationRule::new(pattern("pay/Charge")) }],
            topics: Some(vec![pattern("legacy-*"), pattern("cm.*")]),
            own: vec![pattern("cm.commands.*"), pattern("cm.events")],
            inputs: vec![pattern("orders")],
            ..Catalogue::default()
        };
        let leads = |route: &str| catalogue.leads(route, || false);
        assert!(leads("") && leads("legacy-1") && leads("legacy.refunds") && leads("cm.other"));
        assert!(!leads("elsewhere") && !leads("cm.events") && !leads("cm.commands.stock") && !leads("orders"));
        let open = Catalogue { topics: None, ..catalogue };
        assert!(
            open.leads("elsewhere", || false) && !open.leads("orders", || false),
            "its own topics are never a route"
        );
        assert!(
            open.leads("orders", || true) && !open.leads("cm.events", || true),
            "but for an envelope among envelopes"
        );
    }
}
