//! Answers of services that do not know commands (S5.2): replies that bring back what their message was given, and messages
//! that nobody took or handled (S1.9).

use crate::{
    bus::{Record, carried::command},
    engine::Engine,
    model::{Correlation, Handled, ResultState},
    policy::payloads::Payloads,
    wire::proto::{self, CommandResult, Party},
};

/// A reply as the answer that it is.
///
/// # Errors
/// That it says nothing that its rule knows.
pub(super) fn answer(
    record: &Record,
    whose: Correlation,
    engine: &Engine,
    types: &Payloads,
) -> Result<CommandResult, Unclear> {
    let Some(rule) = engine.reply_rule(&whose.chain_id, &whose.command_id) else {
        // Of a command that is not known here, or that no reply answers, it is no news, and goes where the chain is.
        return Ok(result(whose, ResultState::Unknown, "reply".to_owned(), engine));
    };
    let header = |name: &str| record.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let body = || types.read("", record.payload.as_deref().unwrap_or_default());
    let (state, word) = rule.judge(header, body).ok_or(Unclear)?;
    Ok(result(whose, state, word, engine))
}

/// A command of ours, or what went out in its place, as the answer that its death is; `None`: it is something else. Where
/// nobody ever had it, it is sent again.
pub(super) fn died(record: &Record, handled: Handled, engine: &Engine) -> Option<CommandResult> {
    let whose = command(record)?;
    let state = match handled {
        Handled::No => ResultState::Retryable,
        Handled::Maybe => ResultState::Failed,
    };
    Some(result(whose, state, "undeliverable".to_owned(), engine))
}

fn result(whose: Correlation, state: ResultState, reason: String, engine: &Engine) -> CommandResult {
    let by = engine.command_target(&whose.chain_id, &whose.command_id).map(str::to_owned);
    CommandResult {
        command_id: whose.command_id,
        chain_id: whose.chain_id,
        state: proto::ResultState::from(state).into(),
        reason,
        by: by.map(|service| Party { service, ..Party::default() }),
        ..CommandResult::default()
    }
}

/// A reply says nothing that its rule knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unclear;
