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
    model::{Action, BusTime, Destination, PlanItemState, Published, RouteAnswer, Slot},
    policy::Mode,
};

/// Routes that are remembered to be there; with more it begins afresh, since names come from outside.
const REMEMBERED: usize = 10_000;

/// What is known of routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// Without it every route is taken to be there, as in scenarios and replays.
    asks: bool,
    /// Those that are there. That one is not is never remembered: somebody may have made it since.
    known: BTreeSet<Destination>,
    /// What is sought now an operator has asked for.
    pub anew: bool,
}

impl Routes {
    pub fn ask(&mut self) {
        self.asks = true;
    }

    /// What is known to be there may not be any more.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// All of one chain are remembered together, however many: else it would ask for the first again after the last.
    fn note(&mut self, there: &[Destination]) {
        if self.known.len() + there.len() > REMEMBERED {
            self.known.clear();
        }
        self.known.extend(there.iter().cloned());
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
        Some(Destination { service: self.names.text(picture.calls[n].service()).to_owned(), route })
    }

    /// The destinations of a chain's plan of which it is not known whether they are there. Where nothing is ever sent
    /// nobody needs one.
    fn unknown_routes(&self, chain: &Chain) -> BTreeSet<Destination> {
        let decided = chain.decided.as_ref().filter(|decided| decided.mode != Mode::Observe && !decided.abandoned);
        let items = decided.iter().flat_map(|decided| &decided.items).filter(|item| is_planned(item));
        let mut planned = items.peekable();
        if !self.routes.asks || planned.peek().is_none() {
            return BTreeSet::new();
        }
        let picture = Picture::draw(chain, &self.names, &self.policies, &self.lanes);
        let destinations = planned.filter_map(|item| self.destination(&picture, item));
        destinations.filter(|destination| !self.routes.known.contains(destination)).collect()
    }

    /// Routes are there, or are not: then what was to take them is stuck, and what need not wait for it goes on.
    pub(super) fn route_answer(&mut self, answer: &RouteAnswer<'_>, actions: &mut Vec<Action>) -> Option<Slot> {
        let slot = self.table.find(answer.chain_id, key_of(answer.chain_id))?;
        self.routes.note(answer.there);
        if !answer.missing.is_empty() {
            self.strand(slot, answer.missing);
        }
        actions.push(Action::Save(slot));
        self.go_on(slot, answer.at, actions);
        None
    }

    /// A command that was let go has nowhere to go after all: its topic was there and is not any more, or it is one that was
    /// sent before. It is stuck like one without a route from the beginning.
    pub(super) fn unrouted(&mut self, command: &Published<'_>, actions: &mut Vec<Action>) -> Option<Slot> {
        let slot = self.table.find(command.chain_id, key_of(command.chain_id))?;
        let (n, _) = self.find_command(slot, command.command_id)?;
        self.routes.forget();
        let mut chain = self.table.take(slot)?;
        if let Some(decided) = chain.decided.as_mut() {
            decided.items[n].has_no_route();
        }
        self.time_commands(slot, &mut chain);
        self.table.put(slot, chain);
        actions.push(Action::Save(slot));
        self.go_on(slot, self.lanes.host.as_bus(), actions);
        None
    }

    fn strand(&mut self, slot: Slot, missing: &[Destination]) {
        let Some(mut chain) = self.table.take(slot) else { return };
        if let Some(mut decided) = chain.decided.take() {
            let picture = self.picture_with(&chain, &decided.items);
            for item in decided.items.iter_mut().filter(|item| is_planned(item)) {
                if self.destination(&picture, item).is_some_and(|destination| missing.contains(&destination)) {
                    item.has_no_route();
                }
            }
            drop(picture);
            chain.decided = Some(decided);
        }
        self.table.put(slot, chain);
    }

    /// Asks for the routes that the plan of a chain needs and that are not known. Until it is told nothing is said or sent.
    pub(super) fn seeks(&self, chain: &mut Chain, at: BusTime, actions: &mut Vec<Action>) -> bool {
        let unknown = self.unknown_routes(chain);
        let Some(decided) = chain.decided.as_mut() else { return false };
        decided.seeks = !unknown.is_empty();
        if decided.seeks {
            let (chain_id, destinations) = (chain.id.text().into_owned(), unknown.into_iter().collect());
            actions.push(Action::Seek { chain_id, at, destinations, anew: self.routes.anew });
        }
        decided.seeks
    }
}
