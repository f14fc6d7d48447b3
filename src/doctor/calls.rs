//! Chains, calls and their answers, as far as the sample shows them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    MAX_SERVICES, MAX_VERSIONS, ServiceSeen,
    operations::{Operations, Seen},
};
use crate::{
    model::{BusTime, Message, MessageKind, Party, Request, Response, Span, StatusCode},
    policy::load::Config,
};

/// Age from which a call without an answer counts as not answered: younger ones may still be answered.
const PATIENCE: Span = Span::mins(1);

/// What was seen of calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    chains: HashMap<String, Chain>,
    operations: Operations,
    services: BTreeMap<String, Service>,
    /// What is known in the end.
    pub(super) paired: Paired,
}

/// What can be said of calls of chains that are in the sample from their beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Paired {
    /// Chains that are in the sample from their beginning.
    pub whole: u64,
    /// Their requests.
    pub requests: u64,
    /// Requests that are old enough to be answered.
    pub old: u64,
    /// Of them, those without an answer.
    pub unanswered: u64,
    /// Answers.
    pub responses: u64,
    /// Answers whose request is not there.
    pub orphans: u64,
    /// Calls whose parent is not there.
    pub no_parent: u64,
    /// Requests and answers of all chains.
    pub all_requests: u64,
    /// Answers of all chains.
    pub all_responses: u64,
    /// Chains without a call that has no parent.
    pub rootless: u64,
}

#[derive(Debug, Default)]
struct Chain {
    /// Bus time of its first call without a parent.
    root: Option<BusTime>,
    calls: HashMap<String, Call>,
}

#[derive(Debug, Default)]
struct Call {
    /// When it was asked for; `None`: only its answer was seen.
    begun: Option<BusTime>,
    /// Of which operation.
    operation: usize,
    event: bool,
    parent: String,
    answered: bool,
    has_effect: bool,
    has_compensation: bool,
}

#[derive(Debug, Default)]
struct Service {
    sent: u64,
    called: u64,
    versions: BTreeSet<String>,
}

impl Calls {
    pub(super) fn take(&mut self, message: &Message<'_>, at: BusTime) {
        match &message.kind {
            MessageKind::Request(request) => self.request(message, request, at, false),
            MessageKind::Event(request) => self.request(message, request, at, true),
            MessageKind::Response(response) => self.response(message, response, at),
        }
    }

    fn request(&mut self, message: &Message<'_>, request: &Request<'_>, at: BusTime, event: bool) {
        self.party(request.source).sent += 1;
        self.party(request.destination).called += 1;
        self.paired.all_requests += 1;
        let chain = self.chains.entry(message.chain_id.to_owned()).or_default();
        if request.parent.is_empty() {
            chain.root.get_or_insert(at);
        }
        let call = chain.calls.entry(message.call_id.to_owned()).or_default();
        // A copy says nothing new.
        if call.begun.is_some() {
            return;
        }
        let operation = self.operations.index(request.destination.service, request.operation);
        call.begun = Some(at);
        (call.operation, call.event) = (operation, event);
        request.parent.clone_into(&mut call.parent);
        self.operations.call(operation, request, event);
        (call.has_effect, call.has_compensation) =
            self.operations.declare(operation, &request.effect, (call.has_effect, call.has_compensation));
    }

    fn response(&mut self, message: &Message<'_>, response: &Response<'_>, at: BusTime) {
        self.party(response.by).sent += 1;
        if response.status.code == StatusCode::Ongoing {
            return;
        }
        self.paired.all_responses += 1;
        let chain = self.chains.entry(message.chain_id.to_owned()).or_default();
        let call = chain.calls.entry(message.call_id.to_owned()).or_default();
        let first = !std::mem::replace(&mut call.answered, true);
        if let Some(begun) = call.begun.filter(|_| first && !call.event) {
            self.operations.answer(call.operation, at.since(begun), response.status.code != StatusCode::Ok);
        }
        if call.begun.is_some() {
            (call.has_effect, call.has_compensation) =
                self.operations.declare(call.operation, &response.effect, (call.has_effect, call.has_compensation));
        }
    }

    /// The service of a party; beyond the limit all are one, which is not shown.
    fn party(&mut self, party: Party<'_>) -> &mut Service {
        let known = self.services.len() < MAX_SERVICES || self.services.contains_key(party.service);
        let service = self.services.entry(if known { party.service } else { "" }.to_owned()).or_default();
        if !party.version.is_empty()
            && service.versions.len() < MAX_VERSIONS
            && !service.versions.contains(party.version)
        {
            service.versions.insert(party.version.to_owned());
        }
        service
    }

    /// All was taken in. Before `cut` something is missing in the sample; `end` is the bus time of its last record.
    pub(super) fn finish(&mut self, cut: Option<BusTime>, end: Option<BusTime>) {
        let paired = &mut self.paired;
        for chain in self.chains.values() {
            let Some(root) = chain.root else {
                paired.rootless += 1;
                continue;
            };
            if cut.is_some_and(|cut| root < cut) {
                continue;
            }
            paired.whole += 1;
            for call in chain.calls.values() {
                let Some(begun) = call.begun else {
                    paired.orphans += 1;
                    paired.responses += 1;
                    continue;
                };
                let parent_seen = || chain.calls.get(&call.parent).is_some_and(|parent| parent.begun.is_some());
                paired.no_parent += u64::from(!call.parent.is_empty() && !parent_seen());
                paired.responses += u64::from(call.answered);
                if call.event {
                    continue;
                }
                paired.requests += 1;
                let old = end.is_some_and(|end| begun.plus(PATIENCE) <= end);
                paired.old += u64::from(old);
                paired.unanswered += u64::from(old && !call.answered);
            }
        }
    }

    pub(super) fn chains(&self) -> u64 {
        self.chains.len() as u64
    }

    pub(super) fn whole_chains(&self) -> u64 {
        self.paired.whole
    }

    /// The operations that were seen. `config` says what is known of them already.
    pub(super) fn operations(&mut self, config: &Config) -> Seen {
        self.operations.seen(config)
    }

    /// The services that were seen, by name.
    pub(super) fn services(&self) -> Vec<ServiceSeen> {
        let named = self.services.iter().filter(|(name, _)| !name.is_empty());
        named
            .map(|(name, service)| ServiceSeen {
                service: name.clone(),
                sent: service.sent,
                called: service.called,
                versions: service.versions.iter().cloned().collect(),
            })
            .collect()
    }
}
