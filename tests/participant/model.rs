//! What a participant has to answer, told simply: what was said of an effect, and whether it is in the books. Written from
//! S4.3, S4.5, S4.7 and S5.3; knows nothing of the kit's table.

use std::collections::BTreeMap;

use countermand::wire::proto::{ResultState, StatusCode};

use crate::history::{Act, Message, Mood};

/// How an original was taken, and what was answered to it.
pub type Heard = (&'static str, Vec<StatusCode>);

/// One effect.
#[derive(Debug, Clone, Default)]
struct Effect {
    /// Whether it is in the books.
    stands: bool,
    /// Last words to its calls.
    said: BTreeMap<&'static str, StatusCode>,
    /// The call by which it is, or may be, there or under way.
    by: Option<&'static str>,
    /// It is under way; the caller may have been told.
    open: Option<Option<StatusCode>>,
    /// Left in doubt here, and found to be there when asked.
    found: bool,
    undoing: bool,
    undone: bool,
    /// Somebody was told that it is not there and will not be.
    barred: bool,
}

/// All effects, and the answers that commands got for good.
#[derive(Debug, Clone, Default)]
pub struct Model {
    effects: BTreeMap<&'static str, Effect>,
    settled: BTreeMap<String, ResultState>,
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    Original(Heard),
    Answer(ResultState),
}

impl Model {
    pub fn deliver(&mut self, message: Message, mood: Mood) -> Came {
        match message {
            Message::Original(call) => Came::Original(self.effect(message).original(call.id(), mood)),
            Message::News(call) => Came::Original(self.effect(message).news(call.id(), mood)),
            Message::Command { act, call, .. } => {
                let id = message.command_id();
                if let Some(&known) = self.settled.get(&id) {
                    return Came::Answer(known);
                }
                let effect = self.effect(message);
                let answer = match act {
                    Act::UndoCertain => effect.undo(true, mood),
                    Act::UndoInDoubt => effect.undo(false, mood),
                    Act::Inquire => effect.inquire(mood),
                    Act::Retry => effect.retry(call.id(), mood),
                };
                use ResultState::{Absent, Applied, Done, NotNeeded};
                if matches!(answer, Done | NotNeeded | Applied | Absent) {
                    self.settled.insert(id, answer);
                }
                Came::Answer(answer)
            }
        }
    }

    /// Whether the effect is in the books, and whether it must never be again.
    pub fn standing(&self, effect: &str) -> (bool, bool) {
        self.effects.get(effect).map_or((false, false), |effect| (effect.stands, effect.undone || effect.barred))
    }

    fn effect(&mut self, message: Message) -> &mut Effect {
        self.effects.entry(message.call().effect()).or_default()
    }
}

impl Effect {
    fn original(&mut self, call: &'static str, mood: Mood) -> Heard {
        if let Some(heard) = self.refused() {
            return heard;
        }
        if let Some(&said) = self.said.get(call) {
            return ("repeated", vec![said]);
        }
        match (self.open, self.by) {
            (Some(told), _) => ("repeated", told.into_iter().collect()),
            (None, Some(by)) => ("repeated", vec![self.said[by]]),
            (None, None) => self.run(call, mood),
        }
    }

    fn news(&mut self, call: &'static str, mood: Mood) -> Heard {
        if let Some(heard) = self.refused() {
            return heard;
        }
        match (self.said.get(call), self.open, self.by) {
            (Some(&said), ..) => ("repeated", vec![said]),
            (None, Some(_), _) => match mood {
                // Whoever goes on with a call ends it by saying so.
                Mood::Fails | Mood::Passes => ("put off", vec![]),
                _ => self.run(call, mood),
            },
            (None, None, Some(by)) => ("repeated", vec![self.said[by]]),
            (None, None, None) => ("put off", vec![]),
        }
    }

    fn refused(&self) -> Option<Heard> {
        match self {
            Self { undone: true, .. } | Self { barred: true, .. } => Some(("refused", vec![StatusCode::Failed])),
            Self { undoing: true, .. } => Some(("refused", vec![StatusCode::Cancelled])),
            _ => None,
        }
    }

    /// The handler runs.
    fn run(&mut self, call: &'static str, mood: Mood) -> Heard {
        let mut ends = |stands: bool, there: bool, code: StatusCode| {
            self.stands = stands;
            self.open = None;
            self.by = there.then_some(call);
            self.said.insert(call, code);
            ("handled", vec![code])
        };
        match mood {
            Mood::Works => ends(true, true, StatusCode::Ok),
            Mood::Fails | Mood::TakesBack => ends(false, false, StatusCode::Failed),
            Mood::LosesTrack { there } => ends(there, true, StatusCode::Unknown),
            Mood::Passes => ("put off", vec![]),
            Mood::Waits => {
                (self.by, self.open) = (Some(call), Some(None));
                ("handled", vec![])
            }
            Mood::SaysThatItWaits => {
                (self.by, self.open) = (Some(call), Some(Some(StatusCode::Ongoing)));
                ("handled", vec![StatusCode::Ongoing])
            }
        }
    }

    fn undo(&mut self, certain: bool, mood: Mood) -> ResultState {
        if self.undone {
            return ResultState::Done;
        }
        if self.barred {
            return ResultState::NotNeeded;
        }
        if self.by.is_none() {
            if certain && self.said.is_empty() {
                return ResultState::Retryable;
            }
            self.barred = true;
            return ResultState::NotNeeded;
        }
        match mood {
            Mood::Fails => ResultState::Failed,
            Mood::Passes => ResultState::Retryable,
            Mood::Waits | Mood::SaysThatItWaits => {
                (self.undoing, self.open) = (true, None);
                ResultState::Ongoing
            }
            _ if self.stands => {
                (self.stands, self.undone) = (false, true);
                ResultState::Done
            }
            _ => {
                self.barred = true;
                ResultState::NotNeeded
            }
        }
    }

    fn inquire(&mut self, mood: Mood) -> ResultState {
        if self.undone || self.barred {
            return ResultState::Absent;
        }
        if self.undoing || self.open.is_some() {
            return ResultState::Ongoing;
        }
        let Some(by) = self.by else {
            self.barred = true;
            return ResultState::Absent;
        };
        if self.found || self.said[by] == StatusCode::Ok {
            return ResultState::Applied;
        }
        match mood {
            Mood::Fails => ResultState::Failed,
            Mood::Passes => ResultState::Retryable,
            Mood::Waits | Mood::SaysThatItWaits => ResultState::Unknown,
            _ if self.stands => {
                self.found = true;
                ResultState::Applied
            }
            _ => {
                self.barred = true;
                ResultState::Absent
            }
        }
    }

    fn retry(&mut self, call: &'static str, mood: Mood) -> ResultState {
        if self.undone || self.barred || self.undoing {
            return ResultState::Failed;
        }
        if self.open.is_some() {
            return ResultState::Ongoing;
        }
        if self.found || self.by.is_some_and(|by| self.said[by] == StatusCode::Ok) {
            return ResultState::Done;
        }
        match mood {
            Mood::Fails => return ResultState::Failed,
            Mood::Passes => return ResultState::Retryable,
            // It is under way again: what was said of it no longer holds.
            Mood::Waits | Mood::SaysThatItWaits => drop(self.said.remove(call)),
            _ => {}
        }
        match self.run(call, mood).1.first() {
            Some(StatusCode::Ok) => ResultState::Done,
            Some(StatusCode::Failed) => ResultState::Failed,
            Some(StatusCode::Unknown) => ResultState::Retryable,
            _ => ResultState::Ongoing,
        }
    }
}
