//! Two pictures of one chain, field by field.

use std::{collections::BTreeSet, fmt::Debug};

use countermand::model::{ChainView, CommandAction, CommandView, FailureView, PlanItemState};

/// Compares what the oracle says with what the engine says.
///
/// # Errors
/// Says what differs first.
pub fn differences(oracle: &ChainView, engine: &ChainView) -> Result<(), String> {
    let chain = &oracle.chain_id;
    let (Some(one), Some(other)) = (&oracle.verdict, &engine.verdict) else {
        return same(chain, "verdict", &oracle.verdict.is_some(), &engine.verdict.is_some());
    };
    let id = |failure: &FailureView| failure.call_id.clone();
    same(chain, "outcome", &one.outcome, &other.outcome)?;
    same(chain, "failing", &one.failing.as_ref().map(id), &other.failing.as_ref().map(id))?;
    same(chain, "cause", &one.cause, &other.cause)?;
    same(chain, "callee_active", &one.callee_active, &other.callee_active)?;
    same(chain, "path", &one.path, &other.path)?;
    same(chain, "contributing", &ids(&one.contributing), &ids(&other.contributing))?;
    same(chain, "runners_up", &ids(&one.runners_up), &ids(&other.runners_up))?;
    same(chain, "tolerated", &ids(&one.tolerated), &ids(&other.tolerated))?;
    same(chain, "anomalies", &one.anomalies, &other.anomalies)?;
    same(chain, "ambiguous", &one.ambiguous, &other.ambiguous)?;
    same(chain, "incomplete", &one.incomplete, &other.incomplete)?;
    let (one_has, other_has) = (items(oracle), items(engine));
    let only = |these: &BTreeSet<Item<'_>>, those: &BTreeSet<Item<'_>>| -> Vec<String> {
        these.difference(those).map(|item| format!("{item:?}")).collect()
    };
    same(chain, "commands", &only(&one_has, &other_has), &only(&other_has, &one_has))?;
    same(chain, "state", &oracle.state, &engine.state)?;
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
fn items(view: &ChainView) -> BTreeSet<Item<'_>> {
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
            PlanItemState::Kept,
        ]
        .contains(&item.state);
        undone(item) || item.action == CommandAction::Inquire && finished
    };
    // What was asked for and is kept is named by its inquiry.
    let asked = |item: &CommandView| {
        let asks = |other: &CommandView| other.action == CommandAction::Inquire && other.call_id == item.call_id;
        item.state == PlanItemState::Kept
            && item.action == CommandAction::Undo
            && view.commands.iter().any(|other| asks(other) && other.sends > 0)
    };
    let counts = |item: &&CommandView| {
        let there = item.sends > 0 || item.state != PlanItemState::Withdrawn && !undone(item);
        !asked(item) && there
    };
    view.commands.iter().filter(counts).map(|command| overlook(item(command), over(command))).collect()
}

/// An inquiry that is over was sent so often, and nothing more is said of it.
fn overlook(item: Item<'_>, over: bool) -> Item<'_> {
    if over { Item { state: PlanItemState::Done, wave: 0, operation: "", over, ..item } } else { item }
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

/// Where nothing is to be sent, place and generation say nothing.
fn item(command: &CommandView) -> Item<'_> {
    let only_named = command.sends == 0 && (command.wave == 0 || command.state == PlanItemState::Kept);
    let (generation, wave) = if only_named { (0, 0) } else { (command.generation, command.wave) };
    Item {
        generation,
        wave,
        call: &command.call_id,
        action: command.action.word(),
        certainty: (command.action == CommandAction::Undo && command.state != PlanItemState::Kept)
            .then_some(command.certainty),
        state: command.state,
        sends: command.sends,
        // Before it is sent it names whatever would undo it by now; what was sent is compared as it went out.
        operation: if command.sends == 0 { "" } else { &command.operation },
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
