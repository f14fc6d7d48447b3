//! S2.9, S5: what a chain has beside its calls once it is decided: verdict, plan, commands and their lives.

use super::chain::{Chain, Node, Wake};
use crate::{
    model::{BusTime, Certainty, CommandAction, Name, PlanItemState, PlanState, Span, VerdictView, WaitReason},
    policy::Mode,
};

/// A call as the plan names it: a node, or a consumer's part in an event (S1.7). Survives new evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CallKey {
    pub node: Node,
    /// The consumer; none: the node itself.
    pub consumer: Name,
}

/// Life of one command on the bus (S5.2, S5.13). Times are those of the command clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flight {
    /// Never published.
    Ashore,
    /// Handed to the shell: its clock begins when the publication is committed. `silence`: see `Quiet`.
    Departing { silence: Option<Span> },
    /// Published: to be answered until then.
    Out { due: i64 },
    /// Published to a service that does not answer: done if nothing is said against it for the time of `silence`.
    Quiet { due: i64, silence: Span },
    /// To be published again then.
    Backoff { due: i64 },
    /// Answered, or given up.
    Landed,
}

/// One command: how often it was published, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sending {
    /// Publications in all.
    pub sends: u32,
    /// Publications since an operator last had it sent again.
    pub tries: u32,
    pub flight: Flight,
}

impl Default for Sending {
    fn default() -> Self {
        Self { sends: 0, tries: 0, flight: Flight::Ashore }
    }
}

/// One item of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub call: CallKey,
    /// `Undo`, or `Retry` past a pivot. An inquiry is a step inside an undo item.
    pub action: CommandAction,
    pub certainty: Certainty,
    pub generation: u32,
    /// From 1; zero for what takes no place.
    pub wave: u32,
    /// Items (by index) that must be finished before it.
    pub after: Vec<u16>,
    pub state: PlanItemState,
    pub reason: Option<WaitReason>,
    /// The undo or retry itself.
    pub sending: Sending,
    /// The inquiry, if the effect is in doubt and its participant is asked first (S4.3).
    pub inquiry: Option<Sending>,
    /// Bus time of the answer that settled it.
    pub settled_at: Option<BusTime>,
    /// A later command took its place: answers to this one change nothing (S5.5).
    pub superseded: bool,
    /// Operation of the undo as it was sent: the same command again says the same, whatever was declared since.
    pub operation: Option<Box<str>>,
    /// Operation of the inquiry, likewise.
    pub asks: Option<Box<str>>,
    /// A pivot in doubt: what is said of it decides which way the chain goes (S4.7).
    pub pivot: bool,
    /// What is to go out in its place was found to have all that it needs (S5.15). Never saved: it is looked at anew.
    pub is_writable: bool,
}

impl Item {
    /// Nothing of it is to come: what waits for it may go.
    pub fn is_finished(&self) -> bool {
        use PlanItemState::{Done, Kept, MarkedDone, NotNeeded, Skipped, Uncompensatable, Withdrawn};
        matches!(self.state, Done | NotNeeded | Skipped | MarkedDone | Withdrawn | Kept | Uncompensatable)
            || self.superseded
    }

    /// Nothing undoes it: it is named, and takes no place (S4.6).
    pub fn cannot_be_undone(&mut self) {
        self.state = PlanItemState::Uncompensatable;
        self.reason = Some(WaitReason::Uncompensatable);
        self.wave = 0;
    }

    /// What should go out has no words (S5.15): it is stuck like what failed for good.
    pub fn cannot_be_written(&mut self) {
        self.land();
        self.state = PlanItemState::Stuck;
        self.reason = Some(WaitReason::Unwritable);
    }

    /// What should go out has nowhere to go (S5.15): it is stuck like what failed for good.
    pub fn has_no_route(&mut self) {
        self.land();
        self.state = PlanItemState::Stuck;
        self.reason = Some(WaitReason::NoRoute);
    }

    /// What is out of it is waited for no longer.
    pub fn land(&mut self) {
        for sending in [Some(&mut self.sending), self.inquiry.as_mut()].into_iter().flatten() {
            if sending.sends > 0 {
                sending.flight = Flight::Landed;
            }
        }
    }

    /// An operation as an item keeps it; an empty one is none.
    pub fn named(operation: &str) -> Option<Box<str>> {
        (!operation.is_empty()).then(|| operation.into())
    }

    /// It is named in the plan, and nothing is, was or will be sent for it.
    pub fn has_no_command(&self) -> bool {
        use PlanItemState::{Kept, MarkedDone, Skipped, Uncompensatable};
        let by_hand = matches!(self.state, Skipped | MarkedDone) && self.operation.is_none();
        !self.was_sent() && (by_hand || matches!(self.state, Kept | Uncompensatable))
    }

    /// Something of it was handed to the bus.
    pub fn was_sent(&self) -> bool {
        self.sending.sends > 0 || self.inquiry.is_some_and(|inquiry| inquiry.sends > 0)
    }

    /// The command that is under way or comes next: the inquiry while it is not answered.
    pub fn current(&self) -> CommandAction {
        match self.inquiry {
            Some(inquiry) if inquiry.flight != Flight::Landed => CommandAction::Inquire,
            _ => self.action,
        }
    }

    pub fn sending_mut(&mut self, action: CommandAction) -> Option<&mut Sending> {
        match action {
            CommandAction::Inquire => self.inquiry.as_mut(),
            action if action == self.action => Some(&mut self.sending),
            _ => None,
        }
    }

    /// When the clock of its current command runs out, on the command clock. Of no other: that one would never be
    /// acted on, and be due for ever.
    pub fn due(&self) -> Option<i64> {
        let sending = if self.current() == CommandAction::Inquire { self.inquiry? } else { self.sending };
        match sending.flight {
            Flight::Out { due } | Flight::Quiet { due, .. } | Flight::Backoff { due } => Some(due),
            _ => None,
        }
    }
}

/// Whether the commands of one generation may go (S5.7, S5.8, S5.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// They may.
    Open,
    /// The mode says no.
    Observe,
    /// An operator has to say yes.
    Await(WaitReason),
    /// An operator said no to this revision.
    Rejected(u32),
}

/// Everything about a decided chain.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    /// `None`: a plain success, which needs no words.
    pub verdict: Option<Box<VerdictView>>,
    pub revision: u32,
    /// Bus time of the first verdict.
    pub at: BusTime,
    /// Decided at `max_age` with calls still open (S2.2).
    pub expired: bool,
    /// Bus time as of which it was last judged: what times out after that is news.
    pub as_of: BusTime,
    pub items: Vec<Item>,
    /// By generation, from the first.
    pub gates: Vec<Gate>,
    /// Strictest mode of the newest generation's commands.
    pub mode: Mode,
    pub abandoned: bool,
    /// Undoing had begun when the chain turned out not to have failed.
    pub too_early: bool,
    pub ran_after_undo: bool,
    /// An effect is or was in doubt: late evidence stays welcome (S2.7).
    pub was_in_doubt: bool,
    /// What operators said of pivots in doubt: whether they are applied (S4.7).
    pub pivots: Vec<(CallKey, bool)>,
    /// Duplicate effects that an operator has settled (S4.4).
    pub duplicates_settled: Vec<CallKey>,
    /// Duplicate effects that nobody has.
    pub duplicates: Vec<CallKey>,
    /// Pivots in doubt, or nothing to retry behind one.
    pub pivot_waits: bool,
    /// No command before this bus time (S4.9).
    pub window_until: BusTime,
    /// A voided call is still open (S5.6, `plan_now`).
    pub open_voided: bool,
    /// State and reasons as last said.
    pub state: PlanState,
    pub waits: Vec<WaitReason>,
    /// Hashes of the operations that were carried out.
    pub operations: Vec<u64>,
    /// Bus time of the last change.
    pub changed_at: BusTime,
    /// When, on each lane, the next open call times out, or one without a limit is given up. A timer is set for each.
    pub limits: Vec<Wake>,
    /// The timer of its commands, on the command clock. Set anew after a restore.
    pub command_wake: Option<i64>,
    /// Calls that were open when it was decided at `max_age` (S2.2): it is `unknown` while one of them is.
    pub unanswered: Vec<CallKey>,
    /// Open calls that are not waited for any more, those included: they stay open, and their effects are in doubt.
    pub given_up: Vec<CallKey>,
    /// Held effects that an operator said did happen.
    pub confirmed: Vec<CallKey>,
    /// An operator approved the newest generation.
    pub approved: bool,
    /// Nothing of it is saved but its id: the journal was told so.
    pub settled: bool,
    /// The plan was counted by the storm brake in this generation.
    pub braked_generation: u32,
    /// A route of its plan was asked for and is not told yet (S5.15): what is planned is neither said nor sent. Never saved,
    /// since the shell answers before it commits.
    pub seeks: bool,
}

impl Decided {
    pub fn new(at: BusTime) -> Self {
        Self {
            verdict: None,
            revision: 1,
            at,
            expired: false,
            as_of: at,
            items: Vec::new(),
            gates: Vec::new(),
            mode: Mode::Auto,
            abandoned: false,
            too_early: false,
            ran_after_undo: false,
            was_in_doubt: false,
            pivots: Vec::new(),
            duplicates_settled: Vec::new(),
            duplicates: Vec::new(),
            pivot_waits: false,
            window_until: BusTime::MIN,
            open_voided: false,
            state: PlanState::None,
            waits: Vec::new(),
            operations: Vec::new(),
            changed_at: at,
            limits: Vec::new(),
            command_wake: None,
            unanswered: Vec::new(),
            given_up: Vec::new(),
            confirmed: Vec::new(),
            approved: false,
            settled: false,
            braked_generation: 0,
            seeks: false,
        }
    }

    /// A plain success of which nothing is left to be said, done or waited for. Of events it may turn out later who
    /// consumed them.
    pub fn is_over(&self, chain: &Chain) -> bool {
        let nothing_waits = self.limits.is_empty() && !self.open_voided && !self.pivot_waits && !self.was_in_doubt;
        let nothing_said = self.verdict.is_none() && self.items.is_empty() && self.duplicates.is_empty();
        nothing_said && nothing_waits && !chain.has_events
    }

    /// The newest generation; 1 if there is none yet.
    pub fn generation(&self) -> u32 {
        u32::try_from(self.gates.len()).unwrap_or(u32::MAX).max(1)
    }

    pub fn gate(&self, generation: u32) -> Gate {
        let index = usize::try_from(generation).unwrap_or(0).saturating_sub(1);
        self.gates.get(index).copied().unwrap_or(Gate::Observe)
    }

    /// The gate that something waits behind: what has nothing to send waits for no approval.
    pub fn shut_gate(&self) -> Option<Gate> {
        let waiting = self.items.iter().filter(|item| !item.superseded && item.state == PlanItemState::Waiting);
        let gates = waiting.map(|item| self.gate(item.generation)).filter(|&gate| gate != Gate::Open);
        gates.max_by_key(|gate| matches!(gate, Gate::Rejected(_)))
    }

    pub fn item_of(&self, call: CallKey) -> Option<usize> {
        self.items.iter().rposition(|item| item.call == call && !item.superseded)
    }

    /// A command is out, or to be sent again.
    pub fn has_command_out(&self) -> bool {
        self.items.iter().any(|item| {
            let flies = |sending: Sending| !matches!(sending.flight, Flight::Ashore | Flight::Landed);
            flies(item.sending) || item.inquiry.is_some_and(flies)
        })
    }

    pub fn bytes(&self) -> usize {
        let verdict = self.verdict.as_ref().map_or(0, |verdict| {
            let failure = |failure: &crate::model::FailureView| {
                size_of::<crate::model::FailureView>()
                    + failure.call_id.len()
                    + failure.caller.len()
                    + failure.callee.len()
                    + failure.operation.len()
                    + failure.reason.len()
            };
            let named = verdict.contributing.iter().chain(&verdict.tolerated).chain(&verdict.runners_up);
            size_of::<VerdictView>()
                + verdict.sentence.len()
                + verdict.path.iter().chain(&verdict.missing).map(|text| text.len() + 24).sum::<usize>()
                + verdict.failing.iter().chain(named).map(failure).sum::<usize>()
        });
        let items: usize = self.items.iter().map(|item| size_of::<Item>() + item.after.capacity() * 2).sum();
        let small = self.gates.capacity() * 8 + self.operations.capacity() * 8 + self.limits.capacity() * 16;
        size_of::<Self>() + verdict + items + small
    }
}
