//! Who answers commands offline: the recording where it has answers, else `done`.

use std::collections::BTreeMap;

use crate::model::{Command, CommandAction, ResultState};

/// A command that was sent and not answered for good.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    action: CommandAction,
    /// The recording has answered it since it was published last.
    heard: bool,
}

/// Commands of one chain that wait for an answer.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<String, Waiting>);

impl Answers {
    /// A command was published. Returns the answer that it gets at once, if it gets one: a command that is published
    /// again although the recording said nothing since the first time is one that the recording knows nothing of.
    pub fn sent(&mut self, command: &Command) -> Option<ResultState> {
        match self.0.get_mut(&command.command_id) {
            Some(waiting) if waiting.heard => {
                waiting.heard = false;
                None
            }
            Some(waiting) => Some(good_news(waiting.action)),
            None => {
                let waiting = Waiting { action: command.action, heard: false };
                self.0.insert(command.command_id.clone(), waiting);
                None
            }
        }
    }

    /// A command was answered, by the recording or by us.
    pub fn heard(&mut self, command_id: &str, state: ResultState) {
        use ResultState::{Ongoing, Retryable, Unknown};
        if matches!(state, Ongoing | Retryable | Unknown) {
            if let Some(waiting) = self.0.get_mut(command_id) {
                waiting.heard = true;
            }
        } else {
            self.0.remove(command_id);
        }
    }

    /// The answers that are still owed when the recording has ended.
    #[must_use]
    pub fn owed(&self) -> Vec<(String, ResultState)> {
        self.0.iter().map(|(id, waiting)| (id.clone(), good_news(waiting.action))).collect()
    }
}

/// The answer of a participant that does as it is told. An inquiry is done when the effect is known not to be there;
/// to say that it is would be to invent one.
fn good_news(action: CommandAction) -> ResultState {
    match action {
        CommandAction::Undo | CommandAction::Retry => ResultState::Done,
        CommandAction::Inquire => ResultState::Absent,
    }
}
