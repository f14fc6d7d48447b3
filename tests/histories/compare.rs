//! Two pictures of one chain, field by field.

use std::{collections::BTreeSet, fmt::Debug};

use countermand::model::{ChainView, CommandAction, CommandView, FailureView, PlanItemState};

/// Classes of disagreement that are known and looked past, so that the next one is found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mask {
    pub revision: bool,
    /// 008: a plan shows another operation than was sent.
    pub operation: bool,
    /// 006: a confirmed effect that nothing undoes is sent an undo without an operation.
    pub confirm: bool,
    /// 004: after a restore, the consumers of an event are no longer waited for.
    pub restored_events: bool,
    /// 009: what falls due while the host clock is already further on is judged by the later time.
    pub jump: bool,
    /// 010: a call that comes after the verdict on a lane that lags never times out.
    pub lost_timer: bool,
    /// 002: of two copies of a message, the first that was read stands, not the first in bus time.
    pub duplicates: bool,
    /// 013: an event whose place a consumer takes after the verdict.
    pub replaced: bool,
    /// 014: an open call that said `ONGOING`.
    pub ongoing: bool,
    /// 026: what is kept is shown as applied, and stays when it turns out not to be there.
    pub kept: bool,
    /// 001: a tolerated attempt is named as the failing edge, for being slow.
    pub slow: bool,
    /// 012: a held effect that nothing undoes is found applied.
    pub held: bool,
    /// 015: a finished chain is given up.
    pub give_up: bool,
    /// 016: a rejected plan waits again without a new revision.
    pub reject: bool,
    /// 017: calls inside an undo start a chain.
    pub undo_only: bool,
    /// 018: `own_undo_window` holds back nothing that is planned after the verdict.
    pub window: bool,
    /// 027: a skipped pivot is not listed.
    pub skipped: bool,
    /// 029: what is missing is named in the order of arrival.
    pub missing_order: bool,
}

/// Compares what the oracle says with what the engine says.
///
/// # Errors
/// Says what differs first.
pub fn differences(oracle: &ChainView, engine: &ChainView, mask: Mask) -> Result<(), String> {
    let chain = &oracle.chain_id;
    let (Some(one), Some(other)) = (&oracle.verdict, &engine.verdict) else {
        return same(chain, "verdict", &oracle.verdict.is_some(), &engine.verdict.is_some());
    };
    let id = |failure: &FailureView| failure.call_id.clone();
    same(chain, "outcome", &one.outcome, &other.outcome)?;
    if mask.slow
        && other
            .failing
            .as_ref()
            .is_some_and(|edge| one.tolerated.iter().any(|failure| failure.call_id == edge.call_id))
    {
        return Ok(());
    }
    same(chain, "failing", &one.failing.as_ref().map(id), &other.failing.as_ref().map(id))?;
    same(chain, "cause", &one.cause, &other.cause)?;
    same(chain, "callee_active", &one.callee_active, &other.callee_active)?;
    same(chain, "path", &one.path, &other.path)?;
    let superseded = mask.slow && !one.tolerated.is_empty();
    if !superseded {
        same(chain, "contributing", &ids(&one.contributing), &ids(&other.contributing))?;
        same(chain, "runners_up", &ids(&one.runners_up), &ids(&other.runners_up))?;
    }
    same(chain, "tolerated", &ids(&one.tolerated), &ids(&other.tolerated))?;
    same(chain, "anomalies", &one.anomalies, &other.anomalies)?;
    same(chain, "ambiguous", &one.ambiguous, &other.ambiguous)?;
    same(chain, "incomplete", &one.incomplete, &other.incomplete)?;
    let (one_has, other_has) = (items(oracle, mask), items(engine, mask));
    let only = |these: &BTreeSet<Item<'_>>, those: &BTreeSet<Item<'_>>| -> Vec<String> {
        these.difference(those).map(|item| format!("{item:?}")).collect()
    };
    same(chain, "commands", &only(&one_has, &other_has), &only(&other_has, &one_has))?;
    same(chain, "state", &oracle.state, &engine.state)?;
    if mask.revision || superseded {
        return Ok(());
    }
    same(chain, "revision", &one.revision, &other.revision)
        .map_err(|text| format!("{text}\n  {}\n  missing {:?}", other.sentence, other.missing))
}

fn same<T: PartialEq + Debug>(chain: &str, what: &str, oracle: &T, engine: &T) -> Result<(), String> {
    if oracle == engine {
        return Ok(());
    }
    Err(format!("chain {chain}: {what}\n  oracle {oracle:?}\n  engine {engine:?}"))
}

fn ids(failures: &[FailureView]) -> BTreeSet<&str> {
    failures.iter().map(|failure| failure.call_id.as_str()).collect()
}

/// Of a plan, what both must agree on. An inquiry whose effect is being undone is over, and what was withdrawn before it
/// was sent is nothing.
fn items(view: &ChainView, mask: Mask) -> BTreeSet<Item<'_>> {
    let undone = |item: &CommandView| {
        let is_its_undo = |other: &CommandView| {
            other.action == CommandAction::Undo
                && (&other.call_id, other.generation) == (&item.call_id, item.generation)
        };
        item.action == CommandAction::Inquire && view.commands.iter().any(is_its_undo)
    };
    let over = |item: &CommandView| {
        let finished = [
            PlanItemState::Withdrawn,
            PlanItemState::Done,
            PlanItemState::NotNeeded,
            PlanItemState::Skipped,
            PlanItemState::MarkedDone,
        ]
        .contains(&item.state);
        undone(item) || item.action == CommandAction::Inquire && finished
    };
    let kept = |item: &CommandView| mask.kept && item.state == PlanItemState::Kept;
    let asked = |item: &CommandView| mask.kept && item.action == CommandAction::Inquire && over(item);
    let counts = |item: &&CommandView| {
        let there = item.sends > 0 || item.state != PlanItemState::Withdrawn && !undone(item);
        !kept(item) && !asked(item) && there
    };
    view.commands.iter().filter(counts).map(|command| overlook(item(command, mask), over(command))).collect()
}

/// An inquiry that is over was sent so often, and nothing more is said of it.
fn overlook(item: Item<'_>, over: bool) -> Item<'_> {
    if over { Item { state: PlanItemState::Done, wave: 0, over, ..item } } else { item }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Item<'a> {
    generation: u32,
    wave: u32,
    call: &'a str,
    action: &'a str,
    certainty: Option<countermand::model::Certainty>,
    state: PlanItemState,
    sends: u32,
    operation: &'a str,
    over: bool,
}

fn item(command: &CommandView, mask: Mask) -> Item<'_> {
    let item = plain_item(command, mask);
    let nothing_undoes_it = matches!(item.state, PlanItemState::Held | PlanItemState::Uncompensatable);
    if mask.held && command.operation.is_empty() && nothing_undoes_it {
        return Item { generation: 0, wave: 0, certainty: None, state: PlanItemState::Held, ..item };
    }
    item
}

fn plain_item(command: &CommandView, mask: Mask) -> Item<'_> {
    Item {
        generation: command.generation,
        wave: command.wave,
        call: &command.call_id,
        action: command.action.word(),
        certainty: (command.action == CommandAction::Undo && command.state != PlanItemState::Kept)
            .then_some(command.certainty),
        state: command.state,
        sends: command.sends,
        operation: if mask.operation && command.sends > 0 { "" } else { &command.operation },
        over: false,
    }
}

impl Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let certainty = self.certainty.map_or(String::new(), |certainty| format!(" {certainty:?}"));
        let Self { generation, wave, call, action, state, sends, operation, .. } = self;
        write!(f, "{generation}.{wave} {action} {call} ({operation}){certainty} {state} x{sends}")
    }
}
