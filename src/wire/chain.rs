//! The model's picture of a chain to `ChainRecord`, and a change in its life to `ChainEvent` (S3.8, S5.10).

use prost::Message as _;

use super::{
    proto::{
        self, Call, ChainEvent, ChainEventKind, ChainRecord, FailedCall, PlannedCommand, ResultState, Verb, Verdict,
    },
    time::{duration_of, timestamp_of},
    words::number,
};
use crate::model::{BusTime, CallView, ChainChange, ChainView, CommandView, FailureView, VerdictView};

/// The picture of a chain as it is published.
#[must_use]
pub fn chain_record(view: &ChainView) -> ChainRecord {
    ChainRecord {
        chain_id: view.chain_id.clone(),
        started_at: Some(timestamp_of(view.started_at.0)),
        verdict: view.verdict.as_ref().map(verdict),
        state: number::<_, proto::PlanState>(view.state),
        waits: view.waits.iter().map(|&reason| number::<_, proto::WaitReason>(reason)).collect(),
        calls: view.calls.iter().map(call).collect(),
        commands: view.commands.iter().map(planned).collect(),
        cut: false,
    }
}

/// The same in at most `largest` bytes: what is shown of payloads goes first, then healthy calls, then all calls, then what the
/// verdict says beside its failing call, then the commands (S5.15). What is left is far below any limit.
#[must_use]
pub fn chain_record_within(view: &ChainView, largest: usize) -> ChainRecord {
    let mut record = chain_record(view);
    let steps: [fn(&mut ChainRecord); 5] = [
        |record| record.calls.iter_mut().for_each(|call| call.fields.clear()),
        |record| record.calls.retain(|call| call.answer != i32::from(proto::StatusCode::Ok) || call.has_effect),
        |record| record.calls.clear(),
        |record| {
            if let Some(verdict) = &mut record.verdict {
                verdict.contributing.clear();
                verdict.runners_up.clear();
                verdict.tolerated.clear();
                verdict.anomalies.clear();
                verdict.missing.clear();
            }
        },
        |record| record.commands.clear(),
    ];
    for step in steps {
        if record.encoded_len() <= largest {
            break;
        }
        record.cut = true;
        step(&mut record);
    }
    record
}

/// A change in the life of a chain as it is published. `event_id` names it, `view` is the chain as it is right after
/// the change, if it is kept: how it ended, and the state of its plan, are told with every event.
#[must_use]
pub fn chain_event(
    event_id: &str,
    chain_id: &str,
    at: BusTime,
    change: &ChainChange,
    view: Option<&ChainView>,
) -> ChainEvent {
    let verdict = view.and_then(|view| view.verdict.as_ref());
    let mut event = ChainEvent {
        event_id: event_id.to_owned(),
        chain_id: chain_id.to_owned(),
        at: Some(timestamp_of(at.0)),
        outcome: verdict.map_or(0, |verdict| number::<_, proto::Outcome>(verdict.outcome)),
        revision: verdict.map_or(0, |verdict| verdict.revision),
        state: view.map_or(0, |view| number::<_, proto::PlanState>(view.state)),
        failing: verdict.and_then(|verdict| verdict.failing.as_ref()).map(failed_call),
        ..Default::default()
    };
    let kind = tell(change, &mut event);
    event.kind = kind.into();
    event
}

/// The state of the plan that an event tells, as a lower-case word; empty: none is told.
#[must_use]
pub fn state_word(event: &ChainEvent) -> &'static str {
    super::words::known::<proto::PlanState, crate::model::PlanState>(event.state).map_or("", |state| state.word())
}

/// The verb of an operation, or of an event that tells of one, as a lower-case word; empty: none is told.
#[must_use]
pub fn verb_word(verb: Verb) -> &'static str {
    super::words::FromWire::from_wire(verb).map_or("", crate::model::Verb::word)
}

/// Writes into an event what is of its kind alone.
fn tell(change: &ChainChange, event: &mut ChainEvent) -> ChainEventKind {
    let mut about = |call_id: &str, command_id: &str, answer: &str| {
        call_id.clone_into(&mut event.call_id);
        command_id.clone_into(&mut event.command_id);
        event.answer = by_word(ResultState::from_str_name, "RESULT_STATE_", answer);
    };
    match change {
        ChainChange::Decided => ChainEventKind::Decided,
        ChainChange::State(state) => {
            event.state = number::<_, proto::PlanState>(*state);
            ChainEventKind::State
        }
        ChainChange::UndoStarted { call_id, command_id } => {
            about(call_id, command_id, "");
            ChainEventKind::UndoStarted
        }
        ChainChange::Answered { call_id, command_id, state } => {
            about(call_id, command_id, state);
            ChainEventKind::Answered
        }
        ChainChange::AnswerIgnored { call_id, command_id, state } => {
            about(call_id, command_id, state);
            ChainEventKind::AnswerIgnored
        }
        ChainChange::Operator { operation_id, verb, call_id, by, reason } => {
            operator(event, [operation_id, call_id, by, reason], verb);
            ChainEventKind::Operator
        }
        ChainChange::OperatorRefused { operation_id, verb, call_id, by, why } => {
            operator(event, [operation_id, call_id, by, why.word()], verb);
            ChainEventKind::OperatorRefused
        }
        ChainChange::Evicted(lost) => {
            (*lost).clone_into(&mut event.reason);
            ChainEventKind::Evicted
        }
        ChainChange::IdReused => ChainEventKind::IdReused,
        ChainChange::BrakeEngaged => ChainEventKind::BrakeEngaged,
        ChainChange::Closed => ChainEventKind::Closed,
    }
}

/// Writes what an operator asked for: operation, call, who and why.
fn operator(event: &mut ChainEvent, [operation_id, call_id, by, reason]: [&str; 4], verb: &str) {
    operation_id.clone_into(&mut event.operation_id);
    call_id.clone_into(&mut event.call_id);
    by.clone_into(&mut event.by);
    reason.clone_into(&mut event.reason);
    event.verb = by_word(Verb::from_str_name, "VERB_", verb);
}

/// The number of the value whose name is `prefix` and the word in capitals; zero if there is none.
fn by_word<T: Into<i32>>(from_name: fn(&str) -> Option<T>, prefix: &str, word: &str) -> i32 {
    from_name(&format!("{prefix}{}", word.to_ascii_uppercase())).map_or(0, Into::into)
}

fn failed_call(failure: &FailureView) -> FailedCall {
    FailedCall {
        call_id: failure.call_id.clone(),
        caller: failure.caller.clone(),
        callee: failure.callee.clone(),
        operation: failure.operation.clone(),
        reason: failure.reason.clone(),
    }
}

fn verdict(view: &VerdictView) -> Verdict {
    let failed_calls = |failures: &[FailureView]| failures.iter().map(failed_call).collect();
    Verdict {
        outcome: number::<_, proto::Outcome>(view.outcome),
        failing: view.failing.as_ref().map(failed_call),
        failing_version: view.failing_version.clone(),
        cause: view.cause.map_or(0, number::<_, proto::Cause>),
        callee_active: view.callee_active,
        path: view.path.clone(),
        contributing: failed_calls(&view.contributing),
        runners_up: failed_calls(&view.runners_up),
        tolerated: failed_calls(&view.tolerated),
        anomalies: view.anomalies.iter().map(|&anomaly| number::<_, proto::Anomaly>(anomaly)).collect(),
        ambiguous: view.ambiguous,
        incomplete: view.incomplete,
        missing: view.missing.clone(),
        sentence: view.sentence.clone(),
        revision: view.revision,
        decided_at: Some(timestamp_of(view.decided_at.0)),
    }
}

fn call(view: &CallView) -> Call {
    Call {
        call_id: view.call_id.clone(),
        parent_call_id: view.parent.clone(),
        caller: view.caller.clone(),
        callee: view.callee.clone(),
        version: view.version.clone(),
        operation: view.operation.clone(),
        retry_of: view.retry_of.clone(),
        compensates: view.compensates.clone(),
        event: view.event,
        began_at: view.began_at.map(|at| timestamp_of(at.0)),
        timeout: view.timeout.map(duration_of),
        end: number::<_, proto::CallEnd>(view.end),
        ended_at: view.ended_at.map(|at| timestamp_of(at.0)),
        answer: view.answer.map_or(0, number::<_, proto::StatusCode>),
        reason: view.reason.clone(),
        late_answer: view.late.map_or(0, |(code, _)| number::<_, proto::StatusCode>(code)),
        late_at: view.late.map(|(_, at)| timestamp_of(at.0)),
        undeliverable: view.undeliverable,
        refused: view.refused,
        has_effect: view.has_effect,
        effect: number::<_, proto::EffectState>(view.effect),
        voided: view.voided,
        fields: view.fields.clone(),
    }
}

fn planned(view: &CommandView) -> PlannedCommand {
    PlannedCommand {
        command_id: view.command_id.clone(),
        action: number::<_, proto::Action>(view.action),
        call_id: view.call_id.clone(),
        service: view.service.clone(),
        operation: view.operation.clone(),
        certainty: number::<_, proto::Certainty>(view.certainty),
        wave: view.wave,
        generation: view.generation,
        state: number::<_, proto::PlannedCommandState>(view.state),
        reason: view.reason.map_or(0, number::<_, proto::WaitReason>),
        sends: view.sends,
        detail: view.detail.clone(),
    }
}
