//! S2.7, S2.9, S4.9, S5.13: what time does to a decided chain: limits pass, windows end, commands are sent again, and
//! at last it is closed.

use super::{
    Engine,
    chain::{Chain, Wake},
    change,
    command::{Clocks, Fired, fire, next_due, state_of},
    decide,
    decided::Decided,
    timers::Timer,
};
use crate::model::{Action, BusTime, ChainChange, LaneId, Outcome, PlanState, Slot};

impl Engine {
    /// A bus timer fired.
    pub(super) fn wake(&mut self, timer: Timer, lane: LaneId, actions: &mut Vec<Action>) {
        let slot = Slot(timer.slot);
        let at = BusTime(timer.at);
        let Some(mut chain) = self.table.take(slot) else { return };
        let wake = Wake { at, lane };
        let meant = chain.key == timer.key && chain.waits_for(wake);
        if meant {
            chain.wake.take_if(|known| *known == wake);
            chain.pass(at);
        }
        let decided = chain.is_decided();
        self.table.put(slot, chain);
        match (meant, decided) {
            (false, _) => {}
            (true, false) => self.settle(slot, at, actions),
            (true, true) => self.tend(slot, at, actions),
        }
    }

    /// A timer of the command clock fired.
    pub(super) fn wake_commands(&mut self, timer: Timer, actions: &mut Vec<Action>) {
        let slot = Slot(timer.slot);
        let Some(mut chain) = self.table.take(slot) else { return };
        let meant = |decided: &mut Box<Decided>| decided.command_wake.take_if(|wake| *wake == timer.at).is_some();
        if chain.key != timer.key || !chain.decided.as_mut().is_some_and(meant) {
            return self.table.put(slot, chain);
        }
        let clocks = self.clocks(&chain);
        let settings = &self.policies.policy().settings;
        let at = self.lanes.host.as_bus();
        let mut fired = Fired::default();
        if let Some(mut decided) = chain.decided.take() {
            let picture = self.picture_with(&chain, &decided.items);
            fired = fire(&mut decided, settings, clocks, at, |item| self.silence_of(&picture, item));
            drop(picture);
            chain.decided = Some(decided);
        }
        self.write_commands(&mut chain, &fired.dispatches, actions);
        self.say_unopposed(&chain, &fired.unopposed, at, actions);
        self.table.put(slot, chain);
        actions.push(Action::Save(slot));
        self.go_on(slot, at, actions);
    }

    pub(super) fn clocks(&self, chain: &Chain) -> Clocks {
        // In a backlog the stream may be far on already: what is done now is done as of its own time.
        let as_of = chain.decided.as_ref().map_or(BusTime::MAX, |decided| decided.as_of);
        let stream = chain.slowest(&self.lanes).1.min(as_of);
        Clocks { command: self.lanes.command_clock, stream, paused: self.paused, deaf: self.lanes.any_held() }
    }

    /// Time passed for a decided chain.
    fn tend(&mut self, slot: Slot, at: BusTime, actions: &mut Vec<Action>) {
        let Some(chain) = self.table.get(slot) else { return };
        let (_, stream) = chain.slowest(&self.lanes);
        // In a backlog the stream may be far on already: each in its turn.
        let passed = |limit: &&Wake| limit.at <= at.min(self.lanes.stream(limit.lane));
        let limits = chain.decided.iter().flat_map(|decided| &decided.limits).filter(passed);
        if let Some(limit) = limits.map(|limit| limit.at).min() {
            self.rejudge(slot, limit, limit, actions);
            return self.go_on(slot, limit, actions);
        }
        if self.closes_at(chain).is_some_and(|closes| closes <= stream) {
            if let Some(chain) = self.table.take(slot) {
                self.close(slot, chain, at, actions);
            }
            return;
        }
        self.go_on(slot, at, actions);
    }

    /// When a decided chain is closed; `None`: not while something of it is pending.
    fn closes_at(&self, chain: &Chain) -> Option<BusTime> {
        let settings = &self.policies.policy().settings;
        if let Some(at) = chain.settled_at {
            return Some(at.plus(settings.linger));
        }
        let decided = chain.decided.as_ref()?;
        let pending =
            matches!(decided.state, PlanState::Compensating | PlanState::AwaitingApproval | PlanState::NeedsOperator);
        if pending || decided.seeks {
            return None;
        }
        let outcome = decided.verdict.as_ref().map_or(Outcome::Succeeded, |verdict| verdict.outcome);
        let keep = match () {
            () if decided.was_in_doubt || outcome == Outcome::Unknown => settings.late_window,
            () if outcome == Outcome::Failed || chain.has_events || !decided.items.is_empty() => {
                decide::max_age(chain, &self.names, &self.policies)
            }
            () => settings.linger,
        };
        Some(decided.at.plus(keep).max(decided.changed_at.plus(settings.linger)))
    }

    /// After any change of a decided chain: lets commands go, says what changed, and sets the timers.
    pub(super) fn go_on(&mut self, slot: Slot, at: BusTime, actions: &mut Vec<Action>) {
        let Some(mut chain) = self.table.take(slot) else { return };
        self.prepare(&mut chain);
        if self.seeks(&mut chain, at, actions) {
            return self.table.put(slot, chain);
        }
        let dispatches = self.let_go(&mut chain);
        self.write_commands(&mut chain, &dispatches, actions);
        if let Some(decided) = chain.decided.as_mut() {
            let (state, waits) = state_of(decided);
            let changed = decided.state != state || decided.waits != waits;
            decided.state = state;
            decided.waits = waits;
            if changed {
                decided.changed_at = decided.changed_at.max(at);
                actions.push(change(chain.id.text(), at, ChainChange::State(state)));
            }
        }
        // Before the payloads go: what is shown of them is in the picture.
        if self.wants_view(&chain) {
            actions.push(Action::View(Box::new(self.view_of(&chain))));
        }
        if self.shrinks(&chain) {
            for call in chain.graph.node_weights_mut() {
                call.shrink();
            }
            chain.call_heap = chain.graph.node_weights().map(super::call::Call::heap_bytes).sum();
        }
        self.time_commands(slot, &mut chain);
        let next = self.next_time(&chain);
        self.table.put(slot, chain);
        if let Some(next) = next {
            self.schedule(slot, next);
        }
    }

    /// S2.7: once nothing of its plan is pending, a chain that waits for late evidence loses its payloads.
    fn shrinks(&self, chain: &Chain) -> bool {
        chain.decided.as_ref().is_some_and(|decided| {
            let closed = matches!(decided.state, PlanState::Compensated | PlanState::Completed | PlanState::Abandoned);
            closed && decided.was_in_doubt
        })
    }

    /// The next bus time at which something happens to a decided chain by itself, but for its limits.
    pub(super) fn next_time(&self, chain: &Chain) -> Option<BusTime> {
        let decided = chain.decided.as_ref()?;
        let stream = self.clocks(chain).stream;
        let window = Some(decided.window_until).filter(|&until| until > stream);
        [self.closes_at(chain), window].into_iter().flatten().min()
    }

    /// Sets the timer of a chain's commands.
    pub(super) fn time_commands(&mut self, slot: Slot, chain: &mut Chain) {
        let Some(decided) = chain.decided.as_mut() else { return };
        let Some(due) = next_due(decided) else { return };
        if decided.command_wake.is_none_or(|wake| wake > due) {
            decided.command_wake = Some(due);
            self.lanes.command_timers.push(Timer { at: due, key: chain.key, slot: slot.0 });
        }
    }

    /// Remembers the id of a chain as closed, for `max_age` after it goes.
    pub(super) fn remember_closed(&mut self, chain: &Chain, closes: BusTime) {
        let until = closes.plus(self.policies.policy().settings.max_age);
        let limit = self.closed_limit();
        self.closed.add(chain.key, until, limit);
    }

    /// Lets go of a chain that was taken out: only its id is remembered.
    pub(super) fn close(&mut self, slot: Slot, chain: Box<Chain>, at: BusTime, actions: &mut Vec<Action>) {
        let is_settled = chain.settled_at.is_some() || chain.decided.as_ref().is_some_and(|decided| decided.settled);
        if !is_settled {
            self.remember_closed(&chain, at);
        }
        let chain_id = chain.id.text().into_owned();
        if chain.decided.as_ref().is_some_and(|decided| decided_aloud(decided)) {
            actions.push(change(chain_id.as_str(), at, ChainChange::Closed));
        }
        self.table.forget(slot, &chain);
        self.room.release(chain.graph.node_count());
        actions.push(Action::Closed { slot, chain_id });
    }
}

/// Healthy chains come and go without a word.
fn decided_aloud(decided: &Decided) -> bool {
    decided.verdict.is_some() || !decided.items.is_empty()
}
