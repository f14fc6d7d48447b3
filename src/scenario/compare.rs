//! What came, against what was expected.

use std::fmt;

use super::{
    expect::NONE,
    language::{Block, ExpectedCommand, Fact, Key},
    ledger::{Ledger, Sent},
};
use crate::model::{Certainty, ChainView, CommandAction, FailureView, PlanItemState, Span};

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// When; `None`: at the end.
    pub at: Option<Span>,
    /// What it is about: `chain c: failing`, `command`, `step 7`.
    pub what: String,
    /// What was expected; `None`: nothing.
    pub expected: Option<String>,
    /// What came; `None`: nothing.
    pub came: Option<String>,
}

impl Difference {
    /// A run that could not be carried through.
    #[must_use]
    pub fn failure(what: &str) -> Self {
        Self { at: None, what: "run".to_owned(), expected: Some("an end".to_owned()), came: Some(what.to_owned()) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
        if let Some(at) = self.at {
            write!(f, "at {at}, ")?;
        }
        write!(f, "{}: expected {}, came {}", self.what, or_nothing(&self.expected), or_nothing(&self.came))
    }
}

/// Where the moment of a block is not as expected.
#[must_use]
pub fn compare(block: &Block, ledger: &Ledger) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (chain, facts) in &block.chains {
        let picture = ledger.picture(chain);
        for (key, expected) in facts {
            let came = picture.map(|view| fact(view, *key));
            if came.as_ref() != Some(expected) {
                differences.push(Difference {
                    at: block.at,
                    what: format!("chain {chain}: {}", key.word()),
                    expected: Some(expected.to_string()),
                    came: Some(came.map_or_else(|| "no such chain".to_owned(), |came| came.to_string())),
                });
            }
        }
    }
    if let Some(expected) = &block.commands {
        compare_commands(block.at, expected, ledger.sent(), &mut differences);
    }
    differences
}

/// What a picture says about a key.
fn fact(view: &ChainView, key: Key) -> Fact {
    let verdict = view.verdict.as_ref();
    let none = || NONE.to_owned();
    let calls = |failures: Option<&[FailureView]>| {
        sorted(failures.unwrap_or_default().iter().map(|failure| failure.call_id.clone()).collect())
    };
    let items = |state: PlanItemState| {
        let of_state = view.commands.iter().filter(|command| command.state == state);
        let mut calls: Vec<String> = of_state.map(|command| command.call_id.clone()).collect();
        calls.sort();
        calls.dedup();
        Fact::List(calls)
    };
    match key {
        Key::Outcome => Fact::Text(verdict.map_or_else(none, |verdict| verdict.outcome.to_string())),
        Key::Failing => Fact::Text(
            verdict.and_then(|verdict| verdict.failing.as_ref()).map_or_else(none, |edge| edge.call_id.clone()),
        ),
        Key::Cause => {
            Fact::Text(verdict.and_then(|verdict| verdict.cause).map_or_else(none, |cause| cause.to_string()))
        }
        Key::Path => Fact::List(verdict.map(|verdict| verdict.path.clone()).unwrap_or_default()),
        Key::Contributing => calls(verdict.map(|verdict| verdict.contributing.as_slice())),
        Key::Tolerated => calls(verdict.map(|verdict| verdict.tolerated.as_slice())),
        Key::Anomalies => sorted(
            verdict.map(|verdict| verdict.anomalies.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        ),
        Key::Ambiguous => Fact::Flag(verdict.is_some_and(|verdict| verdict.ambiguous)),
        Key::Incomplete => Fact::Flag(verdict.is_some_and(|verdict| verdict.incomplete)),
        Key::State => Fact::Text(view.state.to_string()),
        Key::Revision => Fact::Count(verdict.map_or(0, |verdict| verdict.revision)),
        Key::Uncompensatable => items(PlanItemState::Uncompensatable),
        Key::Skipped => items(PlanItemState::Skipped),
    }
}

fn sorted(mut texts: Vec<String>) -> Fact {
    texts.sort();
    Fact::List(texts)
}

/// The lists are compared without order: each expected command against the one of its chain, action, call and
/// generation, of which there is at most one, since its id derives from these (S5.3).
fn compare_commands(at: Option<Span>, expected: &[ExpectedCommand], sent: &[Sent], differences: &mut Vec<Difference>) {
    let mut left: Vec<&Sent> = sent.iter().collect();
    let mut missing = Vec::new();
    for command in expected {
        match left.iter().position(|sent| is_about(command, sent)) {
            Some(place) => {
                let sent = left.remove(place);
                if !agrees(command, sent) {
                    let (expected, came) = (Some(show_expected(command)), Some(show_sent(sent, Some(command))));
                    differences.push(Difference { at, what: "command".to_owned(), expected, came });
                }
            }
            None => missing.push(show_expected(command)),
        }
    }
    let mut unexpected: Vec<String> = left.into_iter().map(|sent| show_sent(sent, None)).collect();
    missing.sort();
    unexpected.sort();
    let (mut missing, mut unexpected) = (missing.into_iter(), unexpected.into_iter());
    loop {
        let (expected, came) = (missing.next(), unexpected.next());
        if expected.is_none() && came.is_none() {
            return;
        }
        differences.push(Difference { at, what: "command".to_owned(), expected, came });
    }
}

fn is_about(expected: &ExpectedCommand, sent: &Sent) -> bool {
    let command = &sent.command;
    expected.chain == command.chain_id
        && expected.action == command.action
        && expected.call == command.call_id
        && expected.generation == command.generation
}

fn agrees(expected: &ExpectedCommand, sent: &Sent) -> bool {
    let command = &sent.command;
    expected.wave.is_none_or(|wave| wave == command.wave)
        && expected.certainty.as_ref().is_none_or(|word| word == certainty(command.certainty))
        && expected.op.as_ref().is_none_or(|op| *op == command.operation)
        && expected.sends.is_none_or(|sends| sends == sent.sends)
}

/// The word of a certainty.
fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Applied => "applied",
        Certainty::InDoubt => "in_doubt",
    }
}

fn show_expected(command: &ExpectedCommand) -> String {
    let place = (command.chain.as_str(), command.wave, command.generation);
    let mut text = show(place, command.action, &command.call, command.certainty.as_deref());
    if let Some(op) = &command.op {
        text.push_str(&format!(", op {op}"));
    }
    if let Some(sends) = command.sends {
        text.push_str(&format!(", sent {sends}x"));
    }
    text
}

/// As much as was expected of it; everything, if nothing was.
fn show_sent(sent: &Sent, expected: Option<&ExpectedCommand>) -> String {
    let command = &sent.command;
    let place = (command.chain_id.as_str(), Some(command.wave), command.generation);
    let mut text = show(place, command.action, &command.call_id, Some(certainty(command.certainty)));
    if expected.is_none_or(|expected| expected.op.is_some()) {
        text.push_str(&format!(", op {}", command.operation));
    }
    if expected.is_none_or(|expected| expected.sends.is_some()) {
        text.push_str(&format!(", sent {}x", sent.sends));
    }
    text
}

fn show(
    (chain, wave, generation): (&str, Option<u32>, u32),
    action: CommandAction,
    call: &str,
    certainty: Option<&str>,
) -> String {
    let mut text = String::new();
    if chain != super::language::DEFAULT_CHAIN {
        text.push_str(&format!("chain {chain} "));
    }
    if let Some(wave) = wave {
        text.push_str(&format!("wave {wave} "));
    }
    text.push_str(&format!("{} {call}", action.word()));
    if let Some(certainty) = certainty {
        text.push_str(&format!(" {certainty}"));
    }
    if generation != 1 {
        text.push_str(&format!(", generation {generation}"));
    }
    text
}
