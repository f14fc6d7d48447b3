//! S5.15: a plan whose commands have nowhere to go is stuck from the moment of planning. Which routes are there the engine
//! asks (`Action::Seek`), and says nothing of the plan before it is told.

use std::collections::BTreeSet;

use super::{
    Engine,
    chain::Chain,
    decided::Item,
    dispatch::route_of,
    judge::Picture,
    plan::{compensation_sent, policy_of},
    table::key_of,
};
use crate::{
    model::{Action, BusTime, PlanItemState, RouteAnswer, Slot, WaitReason},
    policy::Mode,
};

/// A service and the route to it; an empty route is the service's usual one.
pub(super) type Destination = (String, String);

/// Routes that are remembered to be there; with more it begins afresh, since names come from outside.
const REMEMBERED: usize = 10_000;

/// What is known of routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// Without it every route is taken to be there, as in scenarios and replays.
    asks: bool,
    /// Those that are there. That one is not is never remembered: somebody may have made it since.
    known: BTreeSet<Destination>,
}

impl Routes {
    pub fn ask(&mut self) {
        self.asks = true;
    }

    fn note(&mut self, destination: Destination) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(destination);
    }
}

/// What a route is asked about: nothing of it was sent, and it is not settled whether anything will be.
fn is_planned(item: &Item) -> bool {
    item.state == PlanItemState::Waiting && !item.was_sent()
}

impl Engine {
    /// Where the commands of an item go.
    pub(super) fn destination(&self, picture: &Picture<'_>, item: &Item) -> Option<Destination> {
        let n = picture.find(item.call)?;
        let policy = policy_of(picture, &self.policies, &picture.calls[n]);
        let compensation = compensation_sent(picture, n, &policy, item.operation.as_deref());
        let (route, _) = route_of(compensation.as_ref());
        Some((self.names.text(picture.calls[n].service()).to_owned(), route))
    }

    /// The first route of a chain's plan of which it is not known whether it is there. Where nothing is ever sent nobody
    /// needs one.
    pub(super) fn unknown_route(&self, chain: &Chain) -> Option<Destination> {
        let decided = chain.decided.as_ref().filter(|decided| decided.mode != Mode::Observe && !decided.abandoned)?;
        if !self.routes.asks || !decided.items.iter().any(is_planned) {
            return None;
        }
        let picture = Picture::draw(chain, &self.names, &self.policies, &self.lanes);
        let planned = decided.items.iter().filter(|item| is_planned(item));
        planned.filter_map(|item| self.destination(&picture, item)).find(|route| !self.routes.known.contains(route))
    }

    /// A route is there, or is not: then what was to take it is stuck, and what need not wait for it goes on.
    pub(super) fn route_answer(&mut self, answer: &RouteAnswer<'_>, actions: &mut Vec<Action>) -> Option<Slot> {
        let destination = (answer.service.to_owned(), answer.route.to_owned());
        let slot = self.table.find(answer.chain_id, key_of(answer.chain_id))?;
        if answer.exists {
            self.routes.note(destination);
        } else {
            self.strand(slot, &destination);
        }
        actions.push(Action::Save(slot));
        self.go_on(slot, answer.at, actions);
        None
    }

    fn strand(&mut self, slot: Slot, destination: &Destination) {
        let Some(mut chain) = self.table.take(slot) else { return };
        if let Some(mut decided) = chain.decided.take() {
            let picture = Picture::draw(&chain, &self.names, &self.policies, &self.lanes);
            for item in decided.items.iter_mut().filter(|item| is_planned(item)) {
                if self.destination(&picture, item).as_ref() == Some(destination) {
                    item.state = PlanItemState::Stuck;
                    item.reason = Some(WaitReason::NoRoute);
                }
            }
            drop(picture);
            chain.decided = Some(decided);
        }
        self.table.put(slot, chain);
    }

    /// Asks for a route, if the plan of a chain needs one that is not known. Until it is told nothing is said or sent.
    pub(super) fn seeks(&self, chain: &mut Chain, at: BusTime, actions: &mut Vec<Action>) -> bool {
        let unknown = self.unknown_route(chain);
        let Some(decided) = chain.decided.as_mut() else { return false };
        decided.seeks = unknown.is_some();
        let Some((service, route)) = unknown else { return false };
        actions.push(Action::Seek { chain_id: chain.id.text().into_owned(), at, service, route });
        true
    }
}
