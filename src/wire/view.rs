//! `ChainRecord` back to the model's picture: what other instances know of their chains (S3.8).

use super::{
    proto::{self, Call, ChainRecord, FailedCall, PlannedCommand, Timestamp, Verdict},
    time::millis_of,
    words::known,
};
use crate::model::{
    BusTime, CallEnd, CallView, Certainty, ChainView, CommandAction, CommandView, EffectState, FailureView, Outcome,
    PlanState, Span, VerdictView,
};

/// The picture of a chain as an agent published it. What an older or newer agent says in words that are unknown here is
/// left out; `None`: the record names no chain.
#[must_use]
pub fn chain_view(record: &ChainRecord) -> Option<ChainView> {
    if record.chain_id.is_empty() {
        return None;
    }
    Some(ChainView {
        chain_id: record.chain_id.clone(),
        started_at: record.started_at.as_ref().map_or(BusTime(0), at),
        verdict: record.verdict.as_ref().map(verdict),
        state: known::<proto::PlanState, _>(record.state).unwrap_or(PlanState::None),
        waits: record.waits.iter().filter_map(|&wait| known::<proto::WaitReason, _>(wait)).collect(),
        calls: record.calls.iter().map(call).collect(),
        commands: record.commands.iter().filter_map(planned).collect(),
    })
}

fn at(timestamp: &Timestamp) -> BusTime {
    BusTime(millis_of(timestamp))
}

fn failed_call(failed: &FailedCall) -> FailureView {
    FailureView {
        call_id: failed.call_id.clone(),
        caller: failed.caller.clone(),
        callee: failed.callee.clone(),
        operation: failed.operation.clone(),
        reason: failed.reason.clone(),
    }
}

fn verdict(verdict: &Verdict) -> VerdictView {
    let failed_calls = |failed: &[FailedCall]| failed.iter().map(failed_call).collect();
    VerdictView {
        outcome: known::<proto::Outcome, _>(verdict.outcome).unwrap_or(Outcome::Unknown),
        failing: verdict.failing.as_ref().map(failed_call),
        failing_version: verdict.failing_version.clone(),
        cause: known::<proto::Cause, _>(verdict.cause),
        callee_active: verdict.callee_active,
        path: verdict.path.clone(),
        contributing: failed_calls(&verdict.contributing),
        runners_up: failed_calls(&verdict.runners_up),
        tolerated: failed_calls(&verdict.tolerated),
        anomalies: verdict.anomalies.iter().filter_map(|&kind| known::<proto::Anomaly, _>(kind)).collect(),
        ambiguous: verdict.ambiguous,
        incomplete: verdict.incomplete,
        missing: verdict.missing.clone(),
        sentence: verdict.sentence.clone(),
        revision: verdict.revision,
        decided_at: verdict.decided_at.as_ref().map_or(BusTime(0), at),
    }
}

fn call(call: &Call) -> CallView {
    CallView {
        call_id: call.call_id.clone(),
        parent: call.parent_call_id.clone(),
        caller: call.caller.clone(),
        callee: call.callee.clone(),
        version: call.version.clone(),
        operation: call.operation.clone(),
        retry_of: call.retry_of.clone(),
        compensates: call.compensates.clone(),
        event: call.event,
        began_at: call.began_at.as_ref().map(at),
        timeout: call.timeout.as_ref().map(span),
        end: known::<proto::CallEnd, _>(call.end).unwrap_or(CallEnd::HalfKnown),
        ended_at: call.ended_at.as_ref().map(at),
        answer: known::<proto::StatusCode, _>(call.answer),
        reason: call.reason.clone(),
        late: known::<proto::StatusCode, _>(call.late_answer).zip(call.late_at.as_ref().map(at)),
        undeliverable: call.undeliverable,
        refused: call.refused,
        has_effect: call.has_effect,
        effect: known::<proto::EffectState, _>(call.effect).unwrap_or(EffectState::None),
        voided: call.voided,
        fields: call.fields.clone(),
    }
}

fn span(duration: &proto::Duration) -> Span {
    let millis = duration.seconds.saturating_mul(1000).saturating_add(i64::from(duration.nanos / 1_000_000));
    Span(u64::try_from(millis).unwrap_or(0))
}

fn planned(command: &PlannedCommand) -> Option<CommandView> {
    let action = match proto::Action::try_from(command.action).ok()? {
        proto::Action::Undo => CommandAction::Undo,
        proto::Action::Retry => CommandAction::Retry,
        proto::Action::Inquire => CommandAction::Inquire,
        _ => return None,
    };
    Some(CommandView {
        command_id: command.command_id.clone(),
        action,
        call_id: command.call_id.clone(),
        service: command.service.clone(),
        operation: command.operation.clone(),
        certainty: known::<proto::Certainty, _>(command.certainty).unwrap_or(Certainty::InDoubt),
        wave: command.wave,
        generation: command.generation,
        state: known::<proto::PlannedCommandState, _>(command.state)?,
        reason: known::<proto::WaitReason, _>(command.reason),
        sends: command.sends,
        detail: command.detail.clone(),
    })
}
