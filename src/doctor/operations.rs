//! Operations: how often they were called, what they declare, and how long their answers took.

use std::collections::{BTreeMap, HashMap};

use super::{MAX_OPERATIONS, OperationSeen, timeouts::proposed};
use crate::{
    model::{EffectClass, EffectDeclaration, Request, Span},
    policy::{CompensationRule, InDoubt, load::Config},
};

/// All operations of a sample.
#[derive(Debug, Default)]
pub(super) struct Operations {
    index: HashMap<(String, String), usize>,
    all: Vec<Operation>,
    /// Calls of operations that are counted together since there are too many.
    more_calls: u64,
}

#[derive(Debug, Default)]
struct Operation {
    seen: OperationSeen,
    latencies: Vec<Span>,
    declared: Declared,
}

/// What messages declare of an operation: the first that declares something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// The class of its effect.
    pub effect: Option<EffectClass>,
    /// What undoes it.
    pub compensation: Option<CompensationRule>,
    /// What may be said of an effect in doubt.
    pub in_doubt: Option<InDoubt>,
}

/// Operations as they are shown, most called first, with what was declared of each by `service/Operation`.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The operations.
    pub operations: Vec<OperationSeen>,
    /// What is declared of them.
    pub declared: BTreeMap<(String, String), Declared>,
    /// Calls of operations beyond the limit.
    pub more_calls: u64,
}

impl Operations {
    /// The index of an operation; those beyond the limit share one without a name.
    pub(super) fn index(&mut self, service: &str, operation: &str) -> usize {
        // Looked up without a copy only where the pair is a key; the copy is small against decoding.
        let key = (service.to_owned(), operation.to_owned());
        if let Some(&index) = self.index.get(&key) {
            return index;
        }
        if self.all.len() > MAX_OPERATIONS {
            self.more_calls += 1;
            return MAX_OPERATIONS;
        }
        let named = self.all.len() < MAX_OPERATIONS;
        let mut new = Operation::default();
        if named {
            (new.seen.service, new.seen.operation) = key.clone();
            self.index.insert(key, self.all.len());
        } else {
            self.more_calls += 1;
        }
        self.all.push(new);
        self.all.len() - 1
    }

    pub(super) fn call(&mut self, index: usize, request: &Request<'_>, event: bool) {
        let seen = &mut self.all[index].seen;
        seen.calls += 1;
        seen.events += u64::from(event);
        seen.with_timeout += u64::from(!event && request.timeout.is_some());
    }

    pub(super) fn answer(&mut self, index: usize, latency: Span, failed: bool) {
        let operation = &mut self.all[index];
        operation.seen.answered += 1;
        operation.seen.failed += u64::from(failed);
        operation.latencies.push(latency);
    }

    /// Takes in what a message declares of the effect of a call, of which is `known` whether it has an effect and a
    /// compensation. Returns what is known then.
    pub(super) fn declare(
        &mut self,
        index: usize,
        effect: &EffectDeclaration<'_>,
        known: (bool, bool),
    ) -> (bool, bool) {
        let operation = &mut self.all[index];
        let compensated = effect.compensation.is_some();
        let changes = effect.class.is_some_and(|class| class != EffectClass::ReadOnly);
        // A compensation alone says that there is something to undo (S4.6).
        let has_effect = known.0 || changes || (effect.class.is_none() && compensated);
        operation.seen.with_effect += u64::from(has_effect && !known.0);
        operation.seen.with_compensation += u64::from(compensated && !known.1);
        let declared = &mut operation.declared;
        if changes || compensated {
            declared.effect = declared.effect.or(effect.class.filter(|class| *class != EffectClass::ReadOnly));
        }
        if let Some(compensation) = effect.compensation.filter(|_| declared.compensation.is_none()) {
            declared.compensation = Some(CompensationRule {
                operation: compensation.operation.to_owned(),
                inquire_operation: compensation.inquire_operation.to_owned(),
                route: compensation.route.to_owned(),
                headers: compensation.headers.cloned().unwrap_or_default(),
                message: None,
            });
            declared.in_doubt = match compensation.accepts_in_doubt {
                true => Some(InDoubt::Undo),
                false => (!compensation.inquire_operation.is_empty()).then_some(InDoubt::Inquire),
            };
        }
        (has_effect, known.1 || compensated)
    }

    pub(super) fn seen(&mut self, config: &Config) -> Seen {
        let mut seen = Seen { more_calls: self.more_calls, ..Seen::default() };
        for operation in self.all.iter_mut().take(MAX_OPERATIONS) {
            operation.latencies.sort_unstable();
            let latencies = &operation.latencies;
            let mut shown = operation.seen.clone();
            shown.latency = quantile(latencies, 500)
                .zip(quantile(latencies, 990))
                .zip(quantile(latencies, 999))
                .map(|((half, most), nearly_all)| [half, most, nearly_all]);
            shown.proposed = proposed(latencies, config.limits.timeout);
            let name = (shown.service.clone(), shown.operation.clone());
            seen.declared.insert(name, operation.declared.clone());
            seen.operations.push(shown);
        }
        let order = |it: &OperationSeen| (std::cmp::Reverse(it.calls), it.service.clone(), it.operation.clone());
        seen.operations.sort_by_cached_key(order);
        seen
    }
}

/// The quantile of so many in a thousand: the least value that so many are not above. `None` of nothing.
pub(super) fn quantile(sorted: &[Span], permille: usize) -> Option<Span> {
    let rank = (sorted.len() * permille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied()
}
