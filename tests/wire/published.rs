//! What the agent publishes says all that the model does, and survives JSON and bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use countermand::{
    model::{
        AnomalyKind, BusTime, CallEnd, CallView, Cause, Certainty, ChainChange, ChainView, Command, CommandAction,
        CommandView, Content, EffectState, FailureView, HostTime, LaneId, Moment, Outcome, PlanItemState, PlanState,
        Position, Refused, Span, StatusCode, VerdictView, WaitReason,
    },
    wire::{self, proto},
};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};

/// That nothing is lost on either way, and the JSON.
fn survives<M: Message + Default + PartialEq + Debug + Serialize + DeserializeOwned>(message: &M) -> serde_json::Value {
    let json = wire::to_json(message).unwrap();
    assert_eq!(&wire::from_json::<M>(json.as_bytes()).unwrap(), message, "{json}");
    assert_eq!(&M::decode(&message.encode_to_vec()[..]).unwrap(), message);
    serde_json::from_str(&json).unwrap()
}

fn command() -> Command {
    Command {
        command_id: "c1".into(),
        chain_id: "chain".into(),
        call_id: "reserve".into(),
        action: CommandAction::Undo,
        service: "inventory".into(),
        version: "2.0".into(),
        instance: "i-1".into(),
        operation: "Release".into(),
        call_operation: "Reserve".into(),
        key: "order-7".into(),
        requested_at: Some(BusTime(1_699_999_999_000)),
        certainty: Certainty::InDoubt,
        wave: 2,
        generation: 1,
        attempt: 3,
        issued_at: HostTime(1_700_000_000_123),
        answer_by: HostTime(1_700_000_030_123),
        request: Some(Content::Whole { type_url: "t/shop.Reservation".into(), value: vec![1, 2, 255] }),
        response: Some(Content::Reference(Moment {
            at: BusTime(5),
            position: Position { lane: LaneId(4), offset: 77 },
        })),
        compensation: None,
        route: "legacy".into(),
        headers: BTreeMap::from([("h".into(), "1".into())]),
        message: None,
        attributes: BTreeMap::from([("tenant".into(), "blue".into())]),
        revision: 2,
        verdict: "it failed".into(),
    }
}

#[test]
fn a_command_carries_what_its_handler_needs() {
    let place = |position: Position| proto::Reference {
        topic: format!("lane-{}", position.lane.0),
        partition: 3,
        offset: position.offset,
    };
    let json = survives(&wire::command(&command(), &place));
    let expected = serde_json::json!({
        "commandId": "c1", "chainId": "chain", "callId": "reserve", "action": "ACTION_UNDO",
        "target": {"service": "inventory", "version": "2.0", "instance": "i-1"}, "operation": "Release",
        "certainty": "CERTAINTY_IN_DOUBT", "wave": 2, "generation": 1, "attempt": 3,
        "issuedAt": "2023-11-14T22:13:20.123Z", "answerBy": "2023-11-14T22:13:50.123Z",
        "request": {"payload": {"@type": "t/shop.Reservation", "value": "AQL/"}},
        "response": {"reference": {"topic": "lane-4", "partition": 3, "offset": "77"}},
        "callOperation": "Reserve", "idempotencyKey": "order-7", "requestedAt": "2023-11-14T22:13:19Z",
        "attributes": {"tenant": "blue"}, "route": "legacy", "headers": {"h": "1"},
        "verdict": {"revision": 2, "sentence": "it failed"},
    });
    assert_eq!(json, expected);
}

fn view() -> ChainView {
    let failure = |call: &str| FailureView {
        call_id: call.into(),
        caller: "order".into(),
        callee: "payment".into(),
        operation: "Charge".into(),
        reason: "DECLINED".into(),
    };
    ChainView {
        chain_id: "chain".into(),
        started_at: BusTime(1),
        verdict: Some(VerdictView {
            outcome: Outcome::Failed,
            failing: Some(failure("charge")),
            failing_version: "3.1".into(),
            cause: Some(Cause::NoResponse),
            callee_active: true,
            path: vec!["place".into(), "charge".into()],
            contributing: vec![failure("a")],
            runners_up: vec![failure("b")],
            tolerated: vec![failure("c")],
            anomalies: BTreeSet::from([AnomalyKind::MissingParent, AnomalyKind::DecidedTooEarly]),
            ambiguous: true,
            incomplete: true,
            missing: vec!["the request of x".into()],
            sentence: "charge never answered".into(),
            revision: 4,
            decided_at: BusTime(2000),
        }),
        state: PlanState::NeedsOperator,
        waits: vec![WaitReason::Held, WaitReason::Mode],
        calls: vec![CallView {
            call_id: "charge".into(),
            parent: "place".into(),
            caller: "order".into(),
            callee: "payment".into(),
            version: "3.1".into(),
            operation: "Charge".into(),
            retry_of: "charge-0".into(),
            compensates: "x".into(),
            event: true,
            began_at: Some(BusTime(10)),
            timeout: Some(Span::millis(1500)),
            end: CallEnd::TimedOut,
            ended_at: Some(BusTime(1510)),
            answer: Some(StatusCode::Cancelled),
            reason: "DECLINED".into(),
            late: Some((StatusCode::Ok, BusTime(1999))),
            undeliverable: true,
            refused: true,
            has_effect: true,
            effect: EffectState::InDoubt,
            voided: true,
            fields: BTreeMap::from([("request.order_id".into(), "o-7".into())]),
        }],
        commands: vec![CommandView {
            command_id: "c1".into(),
            action: CommandAction::Inquire,
            call_id: "charge".into(),
            service: "payment".into(),
            operation: "IsCharged".into(),
            certainty: Certainty::InDoubt,
            wave: 1,
            generation: 2,
            state: PlanItemState::Held,
            reason: Some(WaitReason::Held),
            sends: 5,
            detail: String::new(),
        }],
    }
}

#[test]
fn a_chain_record_is_the_whole_picture() {
    let failure = |call: &str| {
        serde_json::json!({
            "callId": call, "caller": "order", "callee": "payment", "operation": "Charge", "reason": "DECLINED",
        })
    };
    let expected = serde_json::json!({
        "chainId": "chain", "startedAt": "1970-01-01T00:00:00.001Z",
        "verdict": {
            "outcome": "OUTCOME_FAILED", "failing": failure("charge"), "failingVersion": "3.1",
            "cause": "CAUSE_NO_RESPONSE", "calleeActive": true, "path": ["place", "charge"],
            "contributing": [failure("a")], "runnersUp": [failure("b")], "tolerated": [failure("c")],
            "anomalies": ["ANOMALY_MISSING_PARENT", "ANOMALY_DECIDED_TOO_EARLY"], "ambiguous": true,
            "incomplete": true, "missing": ["the request of x"], "sentence": "charge never answered", "revision": 4,
            "decidedAt": "1970-01-01T00:00:02Z",
        },
        "state": "PLAN_STATE_NEEDS_OPERATOR", "waits": ["WAIT_REASON_HELD", "WAIT_REASON_MODE"],
        "calls": [{
            "callId": "charge", "parentCallId": "place", "caller": "order", "callee": "payment", "version": "3.1",
            "operation": "Charge", "retryOf": "charge-0", "compensates": "x", "event": true,
            "beganAt": "1970-01-01T00:00:00.010Z", "timeout": "1.500s", "end": "CALL_END_TIMED_OUT",
            "endedAt": "1970-01-01T00:00:01.510Z", "answer": "STATUS_CODE_CANCELLED", "reason": "DECLINED",
            "lateAnswer": "STATUS_CODE_OK", "lateAt": "1970-01-01T00:00:01.999Z", "undeliverable": true,
            "refused": true, "hasEffect": true, "effect": "EFFECT_STATE_IN_DOUBT", "voided": true,
            "fields": {"request.order_id": "o-7"},
        }],
        "commands": [{
            "commandId": "c1", "action": "ACTION_INQUIRE", "callId": "charge", "service": "payment",
            "operation": "IsCharged", "certainty": "CERTAINTY_IN_DOUBT", "wave": 1, "generation": 2,
            "state": "PLANNED_COMMAND_STATE_HELD", "reason": "WAIT_REASON_HELD", "sends": 5,
        }],
    });
    assert_eq!(survives(&wire::chain_record(&view())), expected);
}

#[test]
fn an_event_says_what_changed_and_how_the_chain_stands() {
    let event = |change: ChainChange| {
        let json = survives(&wire::chain_event("e", "chain", BusTime(1), &change, Some(&view())));
        assert_eq!((&json["outcome"], &json["revision"]), (&"OUTCOME_FAILED".into(), &4.into()));
        assert_eq!(json["failing"]["callId"], "charge");
        json
    };
    let json = event(ChainChange::State(PlanState::Compensated));
    assert_eq!((&json["kind"], &json["state"]), (&"CHAIN_EVENT_KIND_STATE".into(), &"PLAN_STATE_COMPENSATED".into()));
    let json = event(ChainChange::Answered { call_id: "a".into(), command_id: "c".into(), state: "not_needed" });
    assert_eq!((&json["answer"], &json["commandId"]), (&"RESULT_STATE_NOT_NEEDED".into(), &"c".into()));
    let json = event(ChainChange::Operator {
        operation_id: "op".into(),
        verb: "mark_done",
        call_id: "a".into(),
        by: "ann".into(),
        reason: "by hand".into(),
    });
    assert_eq!(
        (&json["verb"], &json["by"], &json["reason"]),
        (&"VERB_MARK_DONE".into(), &"ann".into(), &"by hand".into())
    );
    let json = event(ChainChange::OperatorRefused {
        operation_id: "op".into(),
        verb: "retry",
        call_id: "a".into(),
        by: "ann".into(),
        why: Refused::NotInState,
    });
    assert_eq!(
        (&json["kind"], &json["operationId"], &json["reason"]),
        (&"CHAIN_EVENT_KIND_OPERATOR_REFUSED".into(), &"op".into(), &"not_in_state".into())
    );
}
