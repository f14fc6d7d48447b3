//! Two pictures of one chain, field by field.

use std::{collections::BTreeSet, fmt::Debug};

use countermand::model::{ChainView, CommandAction, CommandView, FailureView, PlanItemState};

/// Classes of disagreement that are known and looked past, so that the next one is found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mask {
    pub revision: bool,
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
    if mask.revision {
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

/// Of a plan, what both must agree on; the certainty of undo commands only.
fn items(view: &ChainView) -> BTreeSet<Item<'_>> {
    view.commands.iter().map(item).collect()
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
}

fn item(command: &CommandView) -> Item<'_> {
    Item {
        generation: command.generation,
        wave: command.wave,
        call: &command.call_id,
        action: command.action.word(),
        certainty: (command.action == CommandAction::Undo).then_some(command.certainty),
        state: command.state,
        sends: command.sends,
        operation: &command.operation,
    }
}

impl Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let certainty = self.certainty.map_or(String::new(), |certainty| format!(" {certainty:?}"));
        let Self { generation, wave, call, action, state, sends, operation, .. } = self;
        write!(f, "{generation}.{wave} {action} {call} ({operation}){certainty} {state} x{sends}")
    }
}
