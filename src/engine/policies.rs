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
}

/// Resolved operations that are kept; above it the cache starts afresh, since names come from outside.
const CACHE: usize = 20_000;

impl Policies {
    pub fn new(policy: Policy) -> Self {
        let named = policy.catalogue.rules.iter().filter_map(|rule| rule.consumers.as_ref());
        let most_consumers = named.map(|consumers| consumers.services.len()).max().unwrap_or(0);
        Self { policy, resolved: QuickMap::default(), most_consumers }
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

    /// Forgets what was resolved: names are about to be used again for others.
    pub fn forget(&mut self) {
        self.resolved.clear();
    }
}

fn resolve(policy: &Policy, names: &Names, (service, operation): (Name, Name)) -> Arc<OperationPolicy> {
    Arc::new(policy.catalogue.resolve(&policy.settings, names.text(service), names.text(operation)))
}
