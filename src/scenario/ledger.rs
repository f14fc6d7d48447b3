//! What came of a scenario: commands sent, pictures of chains, refusals.

use std::collections::BTreeMap;

use crate::model::{Action, ChainView, Command, CommandAction, Outcome, Refusal, command_id};

/// A command that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// As it was sent first.
    pub command: Command,
    /// How often it was published.
    pub sends: u32,
}

/// What is known of one chain.
#[derive(Debug, Default)]
struct Known {
    /// Its latest picture.
    latest: Option<ChainView>,
    /// The picture that it was closed with, once its id was free to be used again.
    closed: Option<ChainView>,
}

/// Everything that came out so far.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By id, in the order in which they were first sent.
    sent: Vec<Sent>,
    places: BTreeMap<String, usize>,
    chains: BTreeMap<String, Known>,
    /// How many inputs were refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Messages dropped before the engine, as the decoder drops them: their chain id is empty (S8.3).
    pub dropped: u64,
}

impl Ledger {
    /// Takes one action down.
    pub fn note(&mut self, action: &Action) {
        match action {
            Action::Command(command) => self.note_command(command),
            Action::View(view) => self.see(view.as_ref().clone()),
            Action::Refused(refusal) => *self.refused.entry(*refusal).or_default() += 1,
            Action::Closed { chain_id, .. } => {
                let known = self.chains.entry(chain_id.clone()).or_default();
                if let Some(last) = known.latest.take()
                    && (known.closed.is_none() || says_something(&last))
                {
                    known.closed = Some(last);
                }
            }
            Action::Change { .. } | Action::Seek { .. } | Action::Unclaimed | Action::Save(_) | Action::Settled(_) => {}
        }
    }

    fn note_command(&mut self, command: &Command) {
        match self.places.get(&command.command_id) {
            Some(&place) => self.sent[place].sends += 1,
            None => {
                self.places.insert(command.command_id.clone(), self.sent.len());
                self.sent.push(Sent { command: command.clone(), sends: 1 });
            }
        }
    }

    /// Takes the picture of a chain as it is now.
    pub fn see(&mut self, view: ChainView) {
        let chain = view.chain_id.clone();
        self.chains.entry(chain).or_default().latest = Some(view);
    }

    /// The commands sent, each once, in the order in which they were first sent.
    #[must_use]
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// The picture of a chain. If its id was used again and nothing is known of that but what came too late for the
    /// first (no verdict, or `unknown`), the first picture stays the chain's.
    #[must_use]
    pub fn picture(&self, chain: &str) -> Option<&ChainView> {
        let known = self.chains.get(chain)?;
        match (&known.latest, &known.closed) {
            (Some(latest), Some(closed)) if !says_something(latest) => Some(closed),
            (latest, closed) => latest.as_ref().or(closed.as_ref()),
        }
    }

    /// Every chain that there is a picture of.
    pub fn chains(&self) -> impl Iterator<Item = &str> {
        self.chains.keys().map(String::as_str)
    }

    /// The id of the newest command of `action` for a call; with none yet, the id that the first would have (S5.3).
    #[must_use]
    pub fn command_id(&self, chain: &str, call: &str, action: CommandAction) -> String {
        let of_call = |sent: &&Sent| {
            let command = &sent.command;
            command.chain_id == chain && command.call_id == call && command.action == action
        };
        let newest = self.sent.iter().filter(of_call).max_by_key(|sent| sent.command.generation);
        newest.map_or_else(|| command_id(chain, call, action, 1), |sent| sent.command.command_id.clone())
    }
}

/// Whether a picture has a verdict that says how the chain ended.
fn says_something(view: &ChainView) -> bool {
    view.verdict.as_ref().is_some_and(|verdict| verdict.outcome != Outcome::Unknown)
}
