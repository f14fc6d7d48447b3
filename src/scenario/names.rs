//! Names of calls: what is expected of a call, answered for it or done to it names one that the bus tells of. A name that
//! is mistyped would otherwise be a step without effect, or an expectation that never fails for the right reason.
//!
//! What a message says of other calls is not looked at: orphaned answers and missing parents are what scenarios are about.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    expect::NONE,
    language::{Act, Block, Fact, Key, Step},
};

/// By chain, the calls that its messages are of or inside of, and its events.
#[derive(Default)]
struct Told<'a> {
    calls: BTreeSet<&'a str>,
    events: BTreeSet<&'a str>,
}

impl Told<'_> {
    fn holds(&self, call: &str) -> bool {
        // A consumer's part in an event: `EVENT/service` (S1.7).
        self.calls.contains(call)
            || self.events.iter().any(|event| call.strip_prefix(event).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// Looks for names of calls that no message tells of.
///
/// # Errors
/// A sentence with the place and the name.
pub fn check(steps: &[Step], blocks: &[Block]) -> Result<(), String> {
    let chains = told(steps);
    let none = Told::default();
    let holds = |chain: &str, call: &str| chains.get(chain).unwrap_or(&none).holds(call);
    let unless = |holds: bool, place: &dyn Fn() -> String, chain: &str, call: &str| match holds {
        true => Ok(()),
        false => Err(format!("{}: no message of chain `{chain}` tells of a call `{call}`", place())),
    };
    for (n, step) in steps.iter().enumerate() {
        let call = match &step.act {
            Act::Request(request) | Act::Event(request) if !request.during.is_empty() => &request.during,
            Act::Result { call, command_id: None, .. } => call,
            // That it is refused may be the point.
            Act::Operator { call, .. } if !call.is_empty() && step.refused != Some(true) => call,
            _ => continue,
        };
        unless(holds(&step.chain, call), &|| format!("step {}", n + 1), &step.chain, call)?;
    }
    for block in blocks {
        for (chain, facts) in &block.chains {
            for (key, call) in facts.iter().flat_map(|(key, fact)| calls_in(*key, fact).map(move |call| (key, call))) {
                unless(holds(chain, call), &|| format!("expect, `{}`", key.word()), chain, call)?;
            }
        }
        for command in block.commands.iter().flatten() {
            let (chain, call) = (&command.chain, &command.call);
            unless(holds(chain, call), &|| "expect, `commands`".to_owned(), chain, call)?;
        }
    }
    Ok(())
}

fn told(steps: &[Step]) -> BTreeMap<&str, Told<'_>> {
    let mut chains: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    for step in steps {
        let told = chains.entry(&step.chain).or_default();
        match &step.act {
            Act::Request(request) | Act::Event(request) | Act::DeadLetter { letter: request, .. } => {
                told.calls.extend([request.call.as_str(), request.parent.as_str()]);
            }
            Act::Response(answer) => {
                told.calls.insert(&answer.call);
            }
            Act::Wait | Act::Result { .. } | Act::Operator { .. } => {}
        }
        if let Act::Event(event) = &step.act {
            told.events.insert(&event.call);
        }
    }
    chains
}

/// The calls that a fact names.
fn calls_in(key: Key, fact: &Fact) -> impl Iterator<Item = &str> {
    let texts: &[String] = match (key, fact) {
        (Key::Failing, Fact::Text(call)) if call != NONE => std::slice::from_ref(call),
        (Key::Path | Key::Contributing | Key::Tolerated | Key::Uncompensatable | Key::Skipped, Fact::List(calls)) => {
            calls
        }
        _ => &[],
    };
    texts.iter().map(String::as_str)
}
