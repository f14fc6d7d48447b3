//! S1.5, S1.7: limits of a chain that are not of one call: each consumer of an event is a call of its own and counts as
//! one towards the limit on a chain's calls; and requests that come again under ever other ids are remembered so often.

use super::{
    chain::{Chain, Node},
    correlate::{Intake, Taken},
    judge::{consumers_of, stands_by_itself},
    policies::Policies,
};
use crate::model::{AnomalyKind, Message, MessageKind, Name, Names, Refusal};

/// Calls that one message adds at most beside those of consumers: its own, its parent's, the event's when it comes back
/// into the picture beside its consumers.
const ADDED: usize = 3;

impl Intake<'_> {
    /// Takes the request or answer that `place` brings into a chain with events, unless that makes more calls than the limit.
    /// What it makes of an event is known only once it has its place, so near the limit the chain is kept as it was.
    pub(super) fn within_limit(
        &mut self,
        chain: &mut Chain,
        place: impl FnOnce(&mut Self, &mut Chain) -> Taken,
    ) -> Taken {
        let limits = &self.policies.policy().settings.limits;
        let limit = limits.calls_per_chain;
        let most_parts = limits.answers_per_call + self.policies.most_consumers() + 1;
        if (chain.graph.node_count() + ADDED).saturating_mul(most_parts) <= limit {
            return place(self, chain);
        }
        let before = calls(chain, self.names, self.policies);
        if before + most_parts + ADDED <= limit {
            return place(self, chain);
        }
        let mut kept = chain.clone();
        let taken = place(self, chain);
        if calls(chain, self.names, self.policies) <= limit.max(before) {
            return taken;
        }
        kept.noted.add(AnomalyKind::LimitExceeded);
        *chain = kept;
        Taken::Refused(Refusal::LimitExceeded)
    }

    /// Whether this is a further request of a call, in a chain that remembers as many messages as its calls may have
    /// answers, and two more each. First requests and answers have limits of their own.
    pub(super) fn is_one_too_many(&self, chain: &Chain, message: &Message<'_>) -> bool {
        let most = chain.graph.node_count() * (self.policies.policy().settings.limits.answers_per_call + 2);
        let again = || chain.find(message.call_id).is_some_and(|node| chain.graph[node].begun.is_some());
        chain.seen.len() >= most && !matches!(message.kind, MessageKind::Response(_)) && again()
    }
}

/// Whether another service may answer a half-known call: it may be an event that nobody has read yet.
pub(super) fn has_room_for(chain: &Chain, node: Node, service: Name, names: &Names, policies: &Policies) -> bool {
    let call = &chain.graph[node];
    let may_be_event = call.begun.is_none() && call.answer_count() > 0 && !service.is_none();
    let is_new = may_be_event && !call.is_answered_by(service);
    !is_new || calls(chain, names, policies) < policies.policy().settings.limits.calls_per_chain
}

/// Calls of a chain as they are judged, names without a message included.
fn calls(chain: &Chain, names: &Names, policies: &Policies) -> usize {
    chain.graph.node_indices().map(|node| parts(chain, node, names, policies)).sum()
}

/// Calls that a node makes: of an event with consumers one for each, and the event's own where it stands beside them.
/// What is half-known may turn out to be an event.
fn parts(chain: &Chain, node: Node, names: &Names, policies: &Policies) -> usize {
    let call = &chain.graph[node];
    let mut consumers = consumers_of(call, names, policies);
    if call.begun.is_none() {
        for answer in call.answers().filter(|answer| !answer.service.is_none()) {
            if !consumers.iter().any(|(consumer, _)| *consumer == answer.service) {
                consumers.push((answer.service, None));
            }
        }
    }
    consumers.len() + usize::from(stands_by_itself(chain, node, &consumers))
}
