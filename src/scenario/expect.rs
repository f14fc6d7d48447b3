//! `expect` of a scenario: blocks of keys to [`Block`]s.

use std::collections::BTreeMap;

use super::{
    language::{Block, DEFAULT_CHAIN, ExpectedCommand, Fact, Key},
    raw::{RawBlock, RawChain, RawCommand, Text},
    words::{pick, span},
};
use crate::model::{AnomalyKind, Cause, CommandAction, Outcome, PlanState};

/// What stands for "there is none" in `outcome`, `failing` and `cause`.
pub const NONE: &str = "none";

/// A scenario that expects nothing passes whatever comes.
const NOTHING: &str =
    "expects nothing: write `chain: {outcome: failed}` or the like, or `commands: []` for none at all";

/// The blocks of `expect`, in the order of the file.
///
/// # Errors
/// A sentence that names the block and the key.
pub fn blocks(raw: Vec<RawBlock>) -> Result<Vec<Block>, String> {
    if raw.is_empty() {
        return Err(format!("expect: {NOTHING}"));
    }
    let many = raw.len() > 1;
    raw.into_iter()
        .enumerate()
        .map(|(n, raw)| {
            let place = if many { format!("expect, block {}", n + 1) } else { "expect".to_owned() };
            block(raw).map_err(|error| format!("{place}: {error}"))
        })
        .collect()
}

fn block(raw: RawBlock) -> Result<Block, String> {
    let mut chains = BTreeMap::new();
    let named = raw.chains.into_iter().flatten();
    for (name, chain) in raw.chain.into_iter().map(|chain| (DEFAULT_CHAIN.to_owned(), chain)).chain(named) {
        let facts = facts(chain)?;
        if chains.insert(name.clone(), facts).is_some() {
            return Err(format!("chain `{name}` is expected twice"));
        }
    }
    let commands = raw.commands.map(|list| list.into_iter().map(command).collect()).transpose()?;
    let at = raw.at.map(|at| span(&at.0)).transpose()?;
    if commands.is_none() && chains.values().all(Vec::is_empty) {
        return Err(NOTHING.to_owned());
    }
    Ok(Block { at, chains, commands })
}

fn facts(raw: RawChain) -> Result<Vec<(Key, Fact)>, String> {
    let mut facts = Vec::new();
    word(&mut facts, Key::Outcome, raw.outcome, |word| word == NONE || Outcome::from_word(word).is_some())?;
    word(&mut facts, Key::Failing, raw.failing, |_| true)?;
    word(&mut facts, Key::Cause, raw.cause, |word| word == NONE || Cause::from_word(word).is_some())?;
    word(&mut facts, Key::State, raw.state, |word| PlanState::from_word(word).is_some())?;
    for anomaly in raw.anomalies.iter().flatten() {
        if AnomalyKind::from_word(&anomaly.0).is_none() {
            return Err(format!("`{}` is no anomaly", anomaly.0));
        }
    }
    for (key, texts, sorted) in [
        (Key::Path, raw.path, false),
        (Key::Contributing, raw.contributing, true),
        (Key::Tolerated, raw.tolerated, true),
        (Key::Anomalies, raw.anomalies, true),
        (Key::Uncompensatable, raw.uncompensatable, true),
        (Key::Skipped, raw.skipped, true),
    ] {
        if let Some(texts) = texts {
            let mut texts: Vec<String> = texts.into_iter().map(|text| text.0).collect();
            if sorted {
                texts.sort();
            }
            facts.push((key, Fact::List(texts)));
        }
    }
    facts.extend(raw.ambiguous.map(|flag| (Key::Ambiguous, Fact::Flag(flag))));
    facts.extend(raw.incomplete.map(|flag| (Key::Incomplete, Fact::Flag(flag))));
    facts.extend(raw.revision.map(|count| (Key::Revision, Fact::Count(count))));
    Ok(facts)
}

fn word(
    facts: &mut Vec<(Key, Fact)>,
    key: Key,
    text: Option<Text>,
    is_one: impl Fn(&str) -> bool,
) -> Result<(), String> {
    match text {
        Some(Text(text)) if !is_one(&text) => Err(format!("`{}: {text}` does not exist", key.word())),
        Some(Text(text)) => {
            facts.push((key, Fact::Text(text)));
            Ok(())
        }
        None => Ok(()),
    }
}

fn command(raw: RawCommand) -> Result<ExpectedCommand, String> {
    let about: Vec<(CommandAction, Text)> =
        [(CommandAction::Undo, raw.undo), (CommandAction::Retry, raw.retry), (CommandAction::Inquire, raw.inquire)]
            .into_iter()
            .filter_map(|(action, call)| call.map(|call| (action, call)))
            .collect();
    let [(action, call)] = <[_; 1]>::try_from(about)
        .map_err(|_| "a command needs exactly one of `undo`, `retry`, `inquire`".to_owned())?;
    if let Some(certainty) = &raw.certainty {
        pick("certainty", &certainty.0, &[("applied", ()), ("in_doubt", ())])?;
    }
    Ok(ExpectedCommand {
        chain: raw.chain.map_or_else(|| DEFAULT_CHAIN.to_owned(), |chain| chain.0),
        action,
        call: call.0,
        generation: raw.generation.unwrap_or(1),
        wave: raw.wave,
        certainty: raw.certainty.map(|certainty| certainty.0),
        op: raw.op.map(|op| op.0),
        sends: raw.sends,
    })
}
