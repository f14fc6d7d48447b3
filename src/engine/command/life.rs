//! S5.2, S5.13: when a command goes out, goes out again, or is given up.

use xxhash_rust::xxh3::xxh3_64;

use super::answer::settle;
use crate::{
    engine::decided::{CallKey, Decided, Flight, Gate, Item, Sending},
    model::{BusTime, CommandAction, PlanItemState, Span, WaitReason},
    policy::{Mode, OnUndoFailure, Settings},
};

/// A publication that is due: the engine writes the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Dispatch {
    pub item: usize,
    pub action: CommandAction,
}

/// The clocks that commands look at.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Clocks {
    /// The command clock (S5.13).
    pub command: i64,
    /// Stream time of the chain's slowest lane.
    pub stream: BusTime,
    pub paused: bool,
    /// Inputs are not read on for now, so that what was said there is not heard (S2.10).
    pub deaf: bool,
}

/// Lets go what may go now. `being_undone`: an own undo of it is under way, so it is let finish (S4.8). `silence`: what a
/// service that does not answer is given.
pub(in crate::engine) fn pump(
    decided: &mut Decided,
    settings: &Settings,
    clocks: Clocks,
    being_undone: impl Fn(CallKey) -> bool,
    silence: impl Fn(&Item) -> Option<Span>,
) -> Vec<Dispatch> {
    let observed = decided.mode == Mode::Observe;
    if observed || decided.abandoned || clocks.paused || clocks.stream < decided.window_until {
        return Vec::new();
    }
    let ready: Vec<usize> = (0..decided.items.len())
        .filter(|&n| decided.items[n].state == PlanItemState::Waiting)
        .filter(|&n| decided.gate(decided.items[n].generation) == Gate::Open)
        .filter(|&n| may_go(decided, settings, n) && !being_undone(decided.items[n].call))
        .collect();
    ready.into_iter().map(|n| depart(&mut decided.items[n], n, &silence)).collect()
}

/// All that must be undone before it is finished, and the lower waves but for what is held.
fn may_go(decided: &Decided, settings: &Settings, n: usize) -> bool {
    let item = &decided.items[n];
    let before = |&index: &u16| decided.items.get(usize::from(index)).is_none_or(Item::is_finished);
    if !item.after.iter().all(before) {
        return false;
    }
    let own =
        || decided.items.iter().filter(|other| other.generation == item.generation && other.action == item.action);
    let goes_on =
        settings.on_undo_failure == OnUndoFailure::Continue && own().any(|other| other.state == PlanItemState::Stuck);
    goes_on
        || own()
            .filter(|lower| lower.wave < item.wave)
            .all(|lower| lower.is_finished() || lower.state == PlanItemState::Held)
}

fn depart(item: &mut Item, n: usize, silence: impl Fn(&Item) -> Option<Span>) -> Dispatch {
    let action = item.current();
    let silence = silence(item).filter(|_| action != CommandAction::Inquire);
    item.state = PlanItemState::Sent;
    item.reason = None;
    if let Some(sending) = item.sending_mut(action) {
        sending.sends = sending.sends.saturating_add(1);
        sending.tries = sending.tries.saturating_add(1);
        sending.flight = Flight::Departing { silence };
    }
    Dispatch { item: n, action }
}

impl Sending {
    /// The wait for its answer begins, or begins anew.
    pub fn waits(&mut self, settings: &Settings, clock: i64) {
        self.flight = match self.flight {
            Flight::Departing { silence: Some(silence) } | Flight::Quiet { silence, .. } => {
                Flight::Quiet { due: after(clock, silence), silence }
            }
            _ => Flight::Out { due: after(clock, self.wait(settings.answer_timeout)) },
        };
    }

    /// It was not published after all.
    pub fn departs_still(&mut self) {
        self.flight = match self.flight {
            Flight::Quiet { silence, .. } => Flight::Departing { silence: Some(silence) },
            Flight::Out { .. } => Flight::Departing { silence: None },
            other => other,
        };
    }

    /// Doubles with each publication.
    pub fn wait(&self, first: Span) -> Span {
        first.times(1 << self.tries.saturating_sub(1).min(32))
    }
}

/// The publication of a command is committed: its clock begins.
pub(in crate::engine) fn published(item: &mut Item, action: CommandAction, settings: &Settings, clock: i64) -> bool {
    match item.sending_mut(action) {
        Some(sending) if matches!(sending.flight, Flight::Departing { .. }) => {
            sending.waits(settings, clock);
            true
        }
        _ => false,
    }
}

/// When the answer to a publication is expected, from now on.
pub(in crate::engine) fn answer_within(item: &Item, action: CommandAction, settings: &Settings) -> Span {
    let sending = if action == CommandAction::Inquire { item.inquiry.unwrap_or_default() } else { item.sending };
    match sending.flight {
        Flight::Departing { silence: Some(silence) } => silence,
        _ => sending.wait(settings.answer_timeout),
    }
}

/// `ongoing` restarts the wait.
pub(in crate::engine) fn restart_wait(item: &mut Item, action: CommandAction, settings: &Settings, clock: i64) {
    if let Some(sending) = item.sending_mut(action)
        && !matches!(sending.flight, Flight::Ashore | Flight::Landed)
    {
        sending.waits(settings, clock);
        item.state = PlanItemState::Sent;
    }
}

/// A retryable failure: again after a backoff, or stuck if that was the last publication.
pub(in crate::engine) fn back_off(
    item: &mut Item,
    action: CommandAction,
    command_id: &str,
    settings: &Settings,
    clock: i64,
) {
    let Some(sending) = item.sending_mut(action) else { return };
    if sending.tries >= settings.max_attempts {
        return use_up(item, action);
    }
    let backoff = sending.wait(settings.backoff).min(settings.max_backoff);
    let wait = Span(backoff.0.saturating_add(jitter(command_id, sending.sends, backoff)));
    sending.flight = Flight::Backoff { due: after(clock, wait) };
    item.state = PlanItemState::Backoff;
}

/// Up to half of the backoff, derived from command and attempt (S5.13).
fn jitter(command_id: &str, attempt: u32, backoff: Span) -> u64 {
    let hash = xxh3_64(format!("{command_id}/{attempt}").as_bytes());
    hash % (backoff.0 / 2 + 1)
}

/// No attempts are left: a command is stuck, an inquiry leaves its effect held (S4.3).
fn use_up(item: &mut Item, action: CommandAction) {
    if let Some(sending) = item.sending_mut(action) {
        sending.flight = Flight::Landed;
    }
    if action == CommandAction::Inquire {
        item.state = PlanItemState::Held;
        item.reason = Some(WaitReason::Held);
    } else {
        item.state = PlanItemState::Stuck;
        item.reason = Some(WaitReason::Stuck);
    }
}

/// What came due.
#[derive(Debug, Default)]
pub(in crate::engine) struct Fired {
    /// What is published again.
    pub dispatches: Vec<Dispatch>,
    /// Items, by index, against which nothing was said: they are done.
    pub unopposed: Vec<usize>,
}

/// Lets the command clock's due times act, in bus time as of `at`: publish again, give up, or take silence for an answer.
pub(in crate::engine) fn fire(
    decided: &mut Decided,
    settings: &Settings,
    clocks: Clocks,
    at: BusTime,
    silence: impl Fn(&Item) -> Option<Span>,
) -> Fired {
    let mut fired = Fired::default();
    for n in 0..decided.items.len() {
        let item = &mut decided.items[n];
        if item.due().is_none_or(|due| due > clocks.command) {
            continue;
        }
        let (action, superseded) = (item.current(), item.superseded);
        let Some(sending) = item.sending_mut(action) else { continue };
        let again = matches!(sending.flight, Flight::Backoff { .. }) || sending.tries < settings.max_attempts;
        match () {
            () if decided.abandoned || superseded => sending.flight = Flight::Landed,
            // What was said against it may lie where nothing is read: silence is no answer then.
            () if clocks.deaf
                && let Flight::Quiet { silence, .. } = sending.flight =>
            {
                sending.flight = Flight::Quiet { due: after(clocks.command, Span::secs(1)), silence };
            }
            () if matches!(sending.flight, Flight::Quiet { .. }) => {
                settle(item, action, PlanItemState::Done, at);
                fired.unopposed.push(n);
            }
            () if !again => use_up(item, action),
            // Nothing is published while paused; it is due as soon as that is over.
            () if clocks.paused => sending.flight = Flight::Backoff { due: after(clocks.command, Span::secs(1)) },
            () => {
                let dispatch = depart(item, n, &silence);
                fired.dispatches.push(dispatch);
            }
        }
    }
    fired
}

/// The earliest due time of a chain's commands.
pub(in crate::engine) fn next_due(decided: &Decided) -> Option<i64> {
    decided.items.iter().filter_map(Item::due).min()
}

fn after(clock: i64, wait: Span) -> i64 {
    clock.saturating_add(i64::try_from(wait.0).unwrap_or(i64::MAX))
}
