//! S4.6, S5.7, S5.15: what holds for an operation, resolved once: matching patterns for each message would cost more
//! than all the rest.

use std::sync::Arc;

use crate::{
    model::{Name, Names, QuickMap},
    policy::{OperationPolicy, Policy},
};

/// The policy and what it resolved to.
#[derive(Debug)]
pub(super) struct Policies {
    policy: Policy,
    resolved: QuickMap<(Name, Name), Arc<OperationPolicy>>,
    most_consumers: usize,
    /// A rule says of some operation that it has an effect.
    rules_effects: bool,
    /// A rule has an envelope go out in a command's place.
    sends_envelopes: bool,
    /// A rule has fields of payloads shown.
    shows: bool,
}

/// Resolved operations that are kept; above it the cache starts afresh, since names come from outside.
const CACHE: usize = 20_000;

impl Policies {
    pub fn new(policy: Policy) -> Self {
        let named = policy.catalogue.rules.iter().filter_map(|rule| rule.consumers.as_ref());
        let most_consumers = named.map(|consumers| consumers.services.len()).max().unwrap_or(0);
        let rules_effects =
            policy.catalogue.rules.iter().any(|rule| rule.effect.is_some() || rule.compensation.is_some());
        let messages = policy.catalogue.rules.iter().filter_map(|rule| rule.compensation.as_ref()?.message.as_ref());
        let sends_envelopes = messages.into_iter().any(|message| message.envelope);
        let shows = policy.catalogue.rules.iter().any(|rule| rule.show.as_ref().is_some_and(|show| !show.is_empty()));
        Self { policy, resolved: QuickMap::default(), most_consumers, rules_effects, sends_envelopes, shows }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Consumers of an event that a rule names, at most (S1.7).
    pub fn most_consumers(&self) -> usize {
        self.most_consumers
    }

    /// What holds for an operation of a service.
    pub fn of(&mut self, names: &Names, service: Name, operation: Name) -> &OperationPolicy {
        let key = (service, operation);
        if self.resolved.len() >= CACHE && !self.resolved.contains_key(&key) {
            self.resolved.clear();
        }
        let Self { policy, resolved, .. } = self;
        resolved.entry(key).or_insert_with(|| resolve(policy, names, key))
    }

    /// The same without keeping it.
    pub fn look_up(&self, names: &Names, service: Name, operation: Name) -> Arc<OperationPolicy> {
        match self.resolved.get(&(service, operation)) {
            Some(found) => Arc::clone(found),
            None => resolve(&self.policy, names, (service, operation)),
        }
    }

    /// Whether a rule says that an operation has an effect (S4.6). Where no rule says so of any, none is looked for.
    pub fn has_effect(&self, names: &Names, service: Name, operation: Name) -> bool {
        self.rules_effects && self.look_up(names, service, operation).has_effect()
    }

    /// Whether fields of an operation's payloads are shown (S8.4).
    pub fn shows(&self, names: &Names, service: Name, operation: Name) -> bool {
        self.shows && !self.look_up(names, service, operation).show.is_empty()
    }

    /// Fields that are shown of a call of `operation`, which `callee` carried out and the request named `asked` for: the same, but
    /// for a consumer's part in an event.
    pub fn shown(&self, names: &Names, (callee, asked): (Name, Name), operation: Name) -> Option<Arc<OperationPolicy>> {
        let of = [callee, asked].into_iter().filter(|_| self.shows);
        of.map(|service| self.look_up(names, service, operation)).find(|policy| !policy.show.is_empty())
    }

    /// Whether messages of the services may belong to an envelope of the agent's own: where no rule has one go out, none is looked
    /// for.
    pub fn sends_envelopes(&self) -> bool {
        self.sends_envelopes
    }

    /// Forgets what was resolved: names are about to be used again for others.
    pub fn forget(&mut self) {
        self.resolved.clear();
    }
}

fn resolve(policy: &Policy, names: &Names, (service, operation): (Name, Name)) -> Arc<OperationPolicy> {
    Arc::new(policy.catalogue.resolve(&policy.settings, names.text(service), names.text(operation)))
}
