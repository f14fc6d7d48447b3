//! The books of a service with the barrier before them (S4.3): what was applied is applied once, what was undone is not
//! applied any more, and what was undone before it came is refused when it comes.

use std::collections::BTreeMap;

use super::books::Books;
use crate::wire::proto::{Action, Certainty, Command, ResultState};

/// What became of a request to apply an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is in the books, now or since a while ago.
    Applied,
    /// There was not enough of it.
    Lacking,
    /// It was taken back before it came.
    Refused,
}

/// What is known of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    Applied {
        from: String,
        to: String,
        amount: i64,
    },
    Undone,
    /// It was undone, or found absent, before it came.
    Barred,
}

/// Books, and the effects in them by chain and call.
#[derive(Debug)]
pub struct Effects {
    /// The accounts.
    pub books: Books,
    known: BTreeMap<(String, String), Effect>,
    /// Answers by command, for commands that come twice.
    answers: BTreeMap<String, ResultState>,
    /// Effects that were taken back.
    pub undone: u32,
    /// Effects that came after they were taken back, and were refused.
    pub refused: u32,
}

impl Effects {
    /// Books that begin with `amount` in one account.
    #[must_use]
    pub fn new(account: &str, amount: i64) -> Self {
        Self {
            books: Books::with(account, amount),
            known: BTreeMap::new(),
            answers: BTreeMap::new(),
            undone: 0,
            refused: 0,
        }
    }

    /// Applies an effect, unless that was done before or must not be done any more.
    pub fn apply(&mut self, chain: &str, call: &str, from: &str, to: &str, amount: i64) -> Known {
        let key = (chain.to_owned(), call.to_owned());
        match self.known.get(&key) {
            Some(Effect::Applied { .. }) => Known::Applied,
            Some(Effect::Undone | Effect::Barred) => {
                self.refused += 1;
                Known::Refused
            }
            None if !self.books.move_over(from, to, amount) => Known::Lacking,
            None => {
                let applied = Effect::Applied { from: from.to_owned(), to: to.to_owned(), amount };
                self.known.insert(key, applied);
                Known::Applied
            }
        }
    }

    /// Carries out a command, once.
    pub fn obey(&mut self, command: &Command) -> ResultState {
        if let Some(answer) = self.answers.get(&command.command_id) {
            return *answer;
        }
        let key = (command.chain_id.clone(), command.call_id.clone());
        let known = self.known.get(&key).cloned();
        let answer = match (command.action(), known) {
            (Action::Undo, Some(Effect::Applied { from, to, amount })) => {
                if self.books.move_over(&to, &from, amount) {
                    self.known.insert(key, Effect::Undone);
                    self.undone += 1;
                    ResultState::Done
                } else {
                    ResultState::Failed
                }
            }
            (Action::Undo, Some(Effect::Undone | Effect::Barred)) => ResultState::NotNeeded,
            // It is said to be there: its message is on its way, and comes before the next try.
            (Action::Undo, None) if command.certainty() == Certainty::Applied => return ResultState::Retryable,
            (Action::Undo, None) => {
                self.known.insert(key, Effect::Barred);
                ResultState::NotNeeded
            }
            (Action::Inquire, Some(Effect::Applied { .. })) => ResultState::Applied,
            (Action::Inquire, None) => {
                self.known.insert(key, Effect::Barred);
                ResultState::Absent
            }
            (Action::Inquire, Some(_)) => ResultState::Absent,
            _ => ResultState::Failed,
        };
        self.answers.insert(command.command_id.clone(), answer);
        answer
    }

    /// Effects of a chain that are in the books now.
    #[must_use]
    pub fn of_chain(&self, chain: &str) -> usize {
        let of_chain = self.known.iter().filter(|((own, _), _)| own == chain);
        of_chain.filter(|(_, effect)| matches!(effect, Effect::Applied { .. })).count()
    }
}
