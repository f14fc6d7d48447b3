//! The picture of a chain for people: everything that is known of it, in words.

use std::collections::BTreeMap;

use super::{
    Engine,
    chain::Chain,
    decide::Now,
    decided::Item,
    judge::{Picture, Seen, State},
    plan::{CompensationOf, Effects, compensation_sent, policy_of},
};
use crate::{
    model::{
        BusTime, CallEnd, CallView, Certainty, ChainView, CommandAction, CommandView, EffectState, Name, Outcome,
        PlanItemState, PlanState, VerdictView, WaitReason, command_id,
    },
    policy::payloads::{Part, note_shown},
};

/// Bytes of payloads that one picture shows at most, names included.
const SHOWN_BYTES: usize = 16 << 10;

impl Engine {
    pub(super) fn view_of(&self, chain: &Chain) -> ChainView {
        let mut room = SHOWN_BYTES;
        self.draw(chain, |picture, n| self.shown(picture, n, &mut room))
    }

    /// The same without anything of payloads.
    pub(super) fn outline_of(&self, chain: &Chain) -> ChainView {
        self.draw(chain, |_, _| BTreeMap::new())
    }

    fn draw(&self, chain: &Chain, mut shown: impl FnMut(&Picture<'_>, usize) -> BTreeMap<String, String>) -> ChainView {
        let decided = chain.decided.as_ref();
        let as_of = decided.map_or(BusTime::MAX, |decided| decided.as_of);
        let items = decided.map_or(&[][..], |decided| &decided.items);
        let now = Now { lanes: &self.lanes, as_of };
        let picture = Picture::draw_as_of(chain, &self.names, &self.policies, now, items);
        let verdict = decided.map(|decided| match &decided.verdict {
            Some(verdict) => (**verdict).clone(),
            None => plain_success(decided.revision, decided.at),
        });
        let verdict = verdict.or_else(|| chain.settled_at.map(|at| plain_success(1, at)));
        let outcome = verdict.as_ref().map_or(Outcome::Unknown, |verdict| verdict.outcome);
        let given_up = decided.map_or(&[][..], |decided| &decided.given_up);
        let effects = Effects::of(&picture, &self.policies, outcome, given_up);
        let order = tree_order(&picture);
        let undone = undone(&picture);
        let mut commands: Vec<CommandView> =
            decided.iter().flat_map(|decided| &decided.items).flat_map(|item| self.commands(&picture, item)).collect();
        commands.sort_by(|a, b| {
            (a.generation, a.wave, &a.call_id, a.action).cmp(&(b.generation, b.wave, &b.call_id, b.action))
        });
        ChainView {
            chain_id: chain.id.text().into_owned(),
            started_at: chain.first_at,
            verdict,
            state: decided.map_or(PlanState::None, |decided| decided.state),
            waits: decided.map(|decided| decided.waits.clone()).unwrap_or_default(),
            calls: order.into_iter().map(|n| self.call(&picture, (&effects, &undone), n, shown(&picture, n))).collect(),
            commands,
        }
    }

    fn call(
        &self,
        picture: &Picture<'_>,
        (effects, undone): (&Effects, &[bool]),
        n: usize,
        fields: BTreeMap<String, String>,
    ) -> CallView {
        let seen = &picture.calls[n];
        let begun = seen.begun;
        let text = |name: Name| self.names.text(name).to_owned();
        let more = begun.and_then(|begun| begun.more.as_ref());
        let id = |id: Option<&crate::model::Id>| id.map(|id| id.text().into_owned()).unwrap_or_default();
        let decisive = seen.decisive().filter(|_| seen.times.answered.is_some() || begun.is_none());
        let late = seen.decisive().filter(|_| seen.times.answered.is_none() && begun.is_some());
        CallView {
            call_id: picture.id(n),
            parent: seen.parent.map(|parent| picture.id(parent)).unwrap_or_default(),
            caller: begun.map(|begun| text(begun.source)).unwrap_or_default(),
            callee: text(seen.service()),
            version: text(seen.version()),
            operation: begun.map(|begun| text(begun.operation)).unwrap_or_default(),
            retry_of: id(more.and_then(|more| more.retry_of.as_deref())),
            compensates: id(more.and_then(|more| more.compensates.as_deref())),
            event: begun.is_some_and(|begun| begun.event),
            began_at: begun.map(|begun| begun.stamp.at),
            timeout: seen.timeout,
            end: match seen.state {
                State::HalfKnown => CallEnd::HalfKnown,
                State::Open => CallEnd::Open,
                State::TimedOut => CallEnd::TimedOut,
                State::Ok | State::Failed(_) => CallEnd::Answered,
            },
            ended_at: seen.ended_at(),
            answer: decisive.map(|answer| answer.code.status()),
            reason: seen.decisive().map(|answer| text(answer.reason)).unwrap_or_default(),
            late: late.map(|answer| (answer.code.status(), answer.stamp.at)),
            undeliverable: decisive.is_some_and(|answer| answer.code.is_dead_letter()),
            refused: seen.refused,
            has_effect: effects.has[n],
            effect: if undone[n] { EffectState::Undone } else { effects.state[n] },
            voided: effects.voided[n],
            fields,
        }
    }

    /// S8.4: what the configuration lets people see of a call's payloads.
    fn shown(&self, picture: &Picture<'_>, n: usize, room: &mut usize) -> BTreeMap<String, String> {
        let seen = &picture.calls[n];
        let mut shown = BTreeMap::new();
        let Some(begun) = seen.begun else { return shown };
        let names = (seen.service(), begun.service);
        let Some(policy) = self.policies.shown(&self.names, names, begun.operation) else { return shown };
        let request = begun.more.as_ref().and_then(|more| more.payload.as_deref());
        let response = seen.decisive().and_then(|answer| answer.more.as_ref()).and_then(|more| more.payload.as_deref());
        for (part, payload) in [(Part::Request, request), (Part::Response, response)] {
            if let Some(payload) = payload {
                let types = &self.policies.policy().catalogue.payloads;
                note_shown(&policy.show, (part, &payload.type_url, &payload.value), (types, room), &mut shown);
            }
        }
        shown
    }

    /// An item as people see it: its undo or retry, and the inquiry before it if there is one.
    fn commands(&self, picture: &Picture<'_>, item: &Item) -> Vec<CommandView> {
        let Some(n) = picture.find(item.call).filter(|_| !item.superseded || item.was_sent()) else {
            return Vec::new();
        };
        let asks = item.inquiry.is_some();
        let unsure = asks && item.certainty == Certainty::InDoubt && item.state != PlanItemState::Kept;
        let mut views = Vec::with_capacity(2);
        if asks {
            views.push(self.command_view(picture, n, item, CommandAction::Inquire));
        }
        if !unsure {
            views.push(self.command_view(picture, n, item, item.action));
        }
        views
    }

    fn command_view(&self, picture: &Picture<'_>, n: usize, item: &Item, action: CommandAction) -> CommandView {
        let seen: &Seen<'_> = &picture.calls[n];
        let call_id = picture.id(n);
        let operation = match action {
            CommandAction::Retry => self.names.text(seen.begun.map_or(Name::NONE, |begun| begun.operation)).to_owned(),
            _ => self.undo_of(picture, n, item),
        };
        let sending = if action == CommandAction::Inquire { item.inquiry.unwrap_or_default() } else { item.sending };
        CommandView {
            command_id: command_id(&picture.chain.id.text(), &call_id, action, item.generation),
            action,
            service: self.names.text(seen.service()).to_owned(),
            operation,
            certainty: if action == CommandAction::Inquire { Certainty::InDoubt } else { item.certainty },
            wave: item.wave,
            generation: item.generation,
            state: item.state,
            reason: item.reason,
            sends: sending.sends,
            detail: if item.reason == Some(WaitReason::Unwritable) {
                self.unwritable(picture, item).unwrap_or_default()
            } else {
                String::new()
            },
            call_id,
        }
    }

    /// What undoes the effect of an item; where nothing is known to any more, what did when it was sent.
    fn undo_of(&self, picture: &Picture<'_>, n: usize, item: &Item) -> String {
        let policy = policy_of(picture, &self.policies, &picture.calls[n]);
        let known = compensation_sent(picture, n, &policy, item.operation.as_deref());
        let known = known.as_ref().map(CompensationOf::operation);
        known.or(item.operation.as_deref()).unwrap_or_default().to_owned()
    }
}

/// By call: whether its undo command was answered `done` or `not_needed`, and nothing came after it (S4.2).
fn undone(picture: &Picture<'_>) -> Vec<bool> {
    let mut undone = vec![false; picture.calls.len()];
    let items = picture.chain.decided.iter().flat_map(|decided| &decided.items);
    for item in items.filter(|item| !item.superseded) {
        let finished = matches!(item.state, PlanItemState::Done | PlanItemState::NotNeeded);
        if let Some(n) = picture.find(item.call) {
            undone[n] = finished && item.action == CommandAction::Undo && item.sending.sends > 0;
        }
    }
    undone
}

/// Parents before children, siblings by begin; what hangs nowhere comes last.
fn tree_order(picture: &Picture<'_>) -> Vec<usize> {
    let mut tops: Vec<usize> = (0..picture.calls.len()).filter(|&n| picture.calls[n].parent.is_none()).collect();
    tops.sort_by_cached_key(|&n| (picture.calls[n].begun.is_none(), picture.calls[n].begin_rank, picture.id(n)));
    let mut order = Vec::with_capacity(picture.calls.len());
    let mut open: Vec<usize> = tops.into_iter().rev().collect();
    while let Some(n) = open.pop() {
        // A name that nothing hangs on is no call.
        let seen = &picture.calls[n];
        let is_there = seen.begun.is_some() || !seen.answers.is_empty() || !seen.children.is_empty();
        if is_there && !seen.replaced {
            order.push(n);
        }
        open.extend(seen.children.iter().rev());
    }
    order
}

/// The verdict of a chain of which every root was answered `OK`, and of which there is nothing more to say.
fn plain_success(revision: u32, at: BusTime) -> VerdictView {
    VerdictView {
        outcome: Outcome::Succeeded,
        failing: None,
        failing_version: String::new(),
        cause: None,
        callee_active: false,
        path: Vec::new(),
        contributing: Vec::new(),
        runners_up: Vec::new(),
        tolerated: Vec::new(),
        anomalies: std::collections::BTreeSet::new(),
        ambiguous: false,
        incomplete: false,
        missing: Vec::new(),
        sentence: "Every root was answered OK.".to_owned(),
        revision,
        decided_at: at,
    }
}
