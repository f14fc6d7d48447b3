//! S5.15, S4.2: what goes to a service that does not know commands, and its answer where that comes as the services' own
//! messages do.

use super::{
    Engine,
    decided::Item,
    judge::Picture,
    plan::{CompensationOf, compensation_sent, policy_of},
};
use crate::{
    model::{
        Command, CommandAction, CommandResult, Message, MessageKind, Name, Request, Response, ResultState,
        ServiceMessage, Span, StatusCode,
    },
    policy::undo::{Around, MessageRule, ReplyRule},
};

/// Length of a command's id: whatever else is that long is looked up and found to be none.
const COMMAND_ID: usize = 32;

impl Engine {
    /// What is sent in the place of an item's undo command, if anything is.
    pub(super) fn rule_of_message(&self, picture: &Picture<'_>, item: &Item) -> Option<Box<MessageRule>> {
        if item.action != CommandAction::Undo {
            return None;
        }
        let n = picture.find(item.call)?;
        let policy = policy_of(picture, &self.policies, &picture.calls[n]);
        match compensation_sent(picture, n, &policy, item.operation.as_deref())? {
            CompensationOf::Rule(rule) => rule.message.clone(),
            CompensationOf::Declared(_) => None,
        }
    }

    /// For how long nothing may be said against an item's message for that to be its answer; `None`: that is none.
    pub(super) fn silence_of(&self, picture: &Picture<'_>, item: &Item) -> Option<Span> {
        self.rule_of_message(picture, item)?.silence
    }

    /// Puts the message into a command in whose place it goes.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn put_message(&self, command: &mut Command, rule: &MessageRule) -> Result<(), String> {
        let policy = self.policies.policy();
        let (payloads, replies) = (&policy.catalogue.payloads, policy.catalogue.replies.as_str());
        let largest = policy.settings.limits.command_bytes;
        let message: ServiceMessage = rule.write(command, Around { payloads, replies, largest })?;
        command.message = Some(Box::new(message));
        Ok(())
    }

    /// Why an item's message cannot be written; `None`: it can, or a command goes out.
    pub(super) fn unwritable(&self, picture: &Picture<'_>, item: &Item) -> Option<String> {
        let rule = self.rule_of_message(picture, item)?;
        let n = picture.find(item.call)?;
        self.put_message(&mut self.command(picture, n, item, CommandAction::Undo), &rule).err()
    }

    /// The message in an item's place, in `command`.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub(super) fn speak(&self, picture: &Picture<'_>, item: &Item, command: &mut Command) -> Result<(), String> {
        match self.rule_of_message(picture, item).filter(|_| command.action == CommandAction::Undo) {
            Some(rule) => self.put_message(command, &rule),
            None => Ok(()),
        }
    }

    /// The service that a command is for, with what is sent in its place.
    fn messaged(&self, chain_id: &str, command_id: &str) -> Option<(Name, Box<MessageRule>)> {
        if command_id.len() != COMMAND_ID {
            return None;
        }
        let (picture, item) = self.commanded(chain_id, command_id)?;
        let rule = self.rule_of_message(&picture, item)?;
        Some((picture.calls[picture.find(item.call)?].service(), rule))
    }

    /// How replies to a command are read; `None`: no such command is known here, or a reply is no answer to it.
    #[must_use]
    pub fn reply_rule(&self, chain_id: &str, command_id: &str) -> Option<ReplyRule> {
        self.messaged(chain_id, command_id)?.1.reply
    }

    /// The service that a command is for whose message is an envelope, so that its id is that of a call.
    fn called(&self, chain_id: &str, call_id: &str) -> Option<&str> {
        let (service, _) = self.messaged(chain_id, call_id).filter(|(_, rule)| rule.envelope)?;
        Some(self.names.text(service))
    }

    /// Whether the answer to a command is the response to its envelope.
    #[must_use]
    pub fn is_call(&self, chain_id: &str, command_id: &str) -> bool {
        self.called(chain_id, command_id).is_some()
    }

    /// What a message of the services is if it belongs to an envelope that went out in a command's place.
    pub(super) fn own<'a>(&self, message: &Message<'a>) -> Own<'a> {
        let Message { chain_id, call_id, .. } = *message;
        if !self.policies.sends_envelopes() {
            return Own::Nothing;
        }
        match &message.kind {
            // Nobody else answers for the service that it was for (S8.1).
            MessageKind::Response(response) if self.called(chain_id, call_id) == Some(response.by.service) => {
                Own::Answer(answer(chain_id, call_id, response))
            }
            MessageKind::Request(_) if self.called(chain_id, call_id).is_some() => Own::Echo,
            // What is done for an undo is undone by nobody (S1.8).
            MessageKind::Request(call) if self.called(chain_id, call.parent).is_some() => {
                Own::During(Box::new(Message { kind: MessageKind::Request(during(call)), ..*message }))
            }
            MessageKind::Event(call) if self.called(chain_id, call.parent).is_some() => {
                Own::During(Box::new(Message { kind: MessageKind::Event(during(call)), ..*message }))
            }
            _ => Own::Nothing,
        }
    }
}

/// See [`Engine::own`].
pub(super) enum Own<'a> {
    /// It has nothing to do with one.
    Nothing,
    /// It is the agent's own envelope, read back.
    Echo,
    /// It is the answer to one.
    Answer(CommandResult<'a>),
    /// It is a call that was made, or an event that was told, while one was handled: as such a message.
    During(Box<Message<'a>>),
}

/// What lies under a command's envelope, as what it is: it was done while the command was handled.
fn during<'a>(call: &Request<'a>) -> Request<'a> {
    Request { parent: "", during: call.parent, ..*call }
}

/// A response as the answer to a command (S3.1 beside S5.2).
fn answer<'a>(chain_id: &'a str, command_id: &'a str, response: &Response<'a>) -> CommandResult<'a> {
    let state = match response.status.code {
        StatusCode::Ok => ResultState::Done,
        StatusCode::Failed => ResultState::Failed,
        // Whoever does not know whether it was done can do it again: the message says the same under the same id.
        StatusCode::Unknown | StatusCode::Cancelled => ResultState::Retryable,
        StatusCode::Ongoing => ResultState::Ongoing,
    };
    let (reason, message) = (response.status.reason, response.status.message);
    CommandResult { command_id, chain_id, state, reason, message, by: response.by }
}
