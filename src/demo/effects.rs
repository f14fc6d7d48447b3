//! The books of a service with the barrier before them (S4.3): what was applied is applied once, what was undone is not
//! applied any more, and what was undone before it came is refused when it comes. What the barrier says is the kit's.

use std::collections::BTreeMap;

use super::books::Books;
use crate::{
    participant::{
        State,
        rules::{self, OnCommand, OnRequest},
    },
    wire::proto::{Action, Certainty, Command, ResultState},
};

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

/// What is known of an effect, and what it moved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Effect {
    state: State,
    moved: Option<(String, String, i64)>,
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
        match rules::on_request(self.state(&key)) {
            OnRequest::Repeat => Known::Applied,
            OnRequest::Refuse(_) => {
                self.refused += 1;
                Known::Refused
            }
            OnRequest::Run if !self.books.move_over(from, to, amount) => Known::Lacking,
            OnRequest::Run => {
                let moved = Some((from.to_owned(), to.to_owned(), amount));
                self.known.insert(key, Effect { state: State::Applied, moved });
                Known::Applied
            }
        }
    }

    fn state(&self, key: &(String, String)) -> Option<State> {
        self.known.get(key).map(|effect| effect.state)
    }

    /// Carries out a command, once.
    pub fn obey(&mut self, command: &Command) -> ResultState {
        if let Some(answer) = self.answers.get(&command.command_id) {
            return *answer;
        }
        let key = (command.chain_id.clone(), command.call_id.clone());
        let state = self.state(&key);
        // The shop runs for minutes and forgets nothing.
        let told = match command.action() {
            Action::Undo => rules::on_undo(state, command.certainty() == Certainty::Applied, false),
            Action::Inquire => rules::on_inquire(state, false),
            _ => OnCommand::Answer(ResultState::Failed, rules::UNKNOWN_ACTION),
        };
        let answer = match told {
            OnCommand::Answer(answer, _) => answer,
            OnCommand::Bar(answer) => {
                self.known.insert(key, Effect { state: State::Barred, moved: None });
                answer
            }
            OnCommand::Run => self.undo(&key),
        };
        if rules::settles(answer) {
            self.answers.insert(command.command_id.clone(), answer);
        }
        answer
    }

    /// Moves back what an effect moved.
    fn undo(&mut self, key: &(String, String)) -> ResultState {
        let Some(effect) = self.known.get_mut(key) else { return ResultState::Failed };
        match &effect.moved {
            Some((from, to, amount)) if self.books.move_over(to, from, *amount) => {
                effect.state = State::Undone;
                self.undone += 1;
                ResultState::Done
            }
            _ => ResultState::Failed,
        }
    }

    /// Effects of a chain that are in the books now.
    #[must_use]
    pub fn of_chain(&self, chain: &str) -> usize {
        let of_chain = self.known.iter().filter(|((own, _), _)| own == chain);
        of_chain.filter(|(_, effect)| effect.state == State::Applied).count()
    }
}
