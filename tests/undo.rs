//! Undo without touching services: what is sent in a command's place, and what its answer is (S5.2, S5.15).

mod support;

use countermand::{
    model::{
        Action, ChainChange, Correlation, EffectDeclaration, Fault, Input, MessageKind, Party, Payload, PlanItemState,
        PlanState, Published, Response, ResultState, ServiceMessage, Status, StatusCode, Verb, WaitReason,
    },
    policy::{
        Policy,
        load::{Source, load},
    },
    wire,
};
use serde_json::{Value, json};
use support::Hand;

/// A policy in which orders are cancelled by `undo`, the settings of one.
fn policy(undo: &str) -> Policy {
    let text = format!(
        "[engine]\nmode = \"auto\"\nbrake = {{ per_edge = 0, overall = 0 }}\n[[operations]]\nmatch = \"orders/Do\"\n\
         undo.operation = \"CancelOrder\"\nundo.route = \"orders.commands\"\n{undo}\n"
    );
    let loaded = load(Some(Source { name: "x".into(), text }), [], Vec::new());
    loaded.unwrap_or_else(|faults| panic!("{faults}")).config.policy()
}

/// A chain whose order was placed, with this in the response, before the root failed.
fn placed(hand: &mut Hand, response: Payload<'_>) {
    hand.request(0, "c", "root", "", |_| {});
    hand.request(1, "c", "order", "root", |request| request.destination.service = "orders");
    let status = Status { code: StatusCode::Ok, reason: "", message: "", caused_by: "", fault: Fault::Callee };
    let by = Party { service: "orders", ..Party::default() };
    let answer = Response { by, status, effect: EffectDeclaration::default(), payload: Some(response) };
    hand.message(2, "c", "order", MessageKind::Response(answer));
    hand.respond(3, "c", "root", StatusCode::Failed, "NO");
    hand.at(500);
}

fn json_of(text: &str) -> Payload<'_> {
    Payload { type_url: "", value: text.as_bytes() }
}

fn message(hand: &Hand) -> &ServiceMessage {
    hand.commands()[0].message.as_deref().expect("a message in the command's place")
}

#[test]
fn a_service_gets_the_message_that_it_understands_and_its_reply_is_the_answer() {
    let mut hand = Hand::new(policy(
        r#"undo.headers = { type = "CancelOrder", reply-to = "{replies}", trace = "{correlation}" }
           undo.key = "{response.order.id}"
           undo.body = '{"id": "{response.order.id}", "cents": "{response.cents}", "certain": "{certainty}", "note": "{request.note?}"}'
           undo.reply = { field = "state", done = ["CANCELLED"], not_needed = ["GONE"], failed = ["*"] }"#,
    ));
    placed(&mut hand, json_of(r#"{"order": {"id": "o-7"}, "cents": 9007199254740993}"#));
    let command = hand.commands()[0].clone();
    let sent = message(&hand).clone();
    assert_eq!(
        (sent.key.as_str(), sent.content_type.as_str(), command.route.as_str()),
        ("o-7", "application/json", "orders.commands")
    );
    let body: Value = serde_json::from_slice(&sent.payload).unwrap();
    assert_eq!(body, json!({"id": "o-7", "cents": 9_007_199_254_740_993_u64, "certain": "applied"}));
    let correlation = Correlation::of("c", &command.command_id).to_string();
    let headers: Vec<(&str, &str)> = sent.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(headers, [("reply-to", "countermand.results"), ("trace", &correlation), ("type", "CancelOrder")]);
    let rule = hand.engine.reply_rule("c", &command.command_id).expect("replies are its answer");
    let judge = |state: &str| rule.judge(|_| None, || Some(json!({"state": state}))).map(|(state, _)| state);
    assert_eq!(
        [judge("CANCELLED"), judge("GONE"), judge("WHAT")],
        [ResultState::Done, ResultState::NotNeeded, ResultState::Failed].map(Some)
    );
    assert_eq!(hand.engine.reply_rule("c", "0123456789abcdef0123456789abcdef"), None);
    // Without an answer it says the same again.
    hand.at(31_000);
    assert_eq!(hand.commands()[1].message.as_deref(), Some(&sent));
    hand.result(32_000, "c", &command.command_id, ResultState::Done);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensated));
}

#[test]
fn payloads_are_read_and_written_by_their_types() {
    let mut policy = policy(
        r#"undo.body = '{"order_id": "{response.order_id}", "cents": "{response.cents}", "reason": "{response.lines.1.sku}"}'
           undo.type = "shop.v1.CancelOrder"
           undo.silence = "1s""#,
    );
    policy.catalogue.payloads.add(include_bytes!("fixtures/config/shop.binpb")).expect("a set of descriptors");
    // An order: its id, -5 cents, and two lines of which the second is of the sku `b`.
    let order = b"\x0a\x03o-7\x10\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x03\x0a\x01a\x1a\x03\x0a\x01b";
    let mut hand = Hand::new(policy);
    placed(&mut hand, Payload { type_url: "type.googleapis.com/shop.v1.Order", value: order });
    let sent = message(&hand);
    assert_eq!((sent.type_name.as_str(), sent.content_type.as_str()), ("shop.v1.CancelOrder", "application/protobuf"));
    assert_eq!(sent.payload, b"\x0a\x03o-7\x10\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x01b");
}

#[test]
fn silence_is_an_answer_where_the_rule_says_so_and_only_while_the_bus_was_read() {
    let rule = "undo.body = '{\"id\": \"{response.id}\"}'\nundo.silence = \"10s\"";
    let mut hand = Hand::new(policy(rule));
    placed(&mut hand, json_of(r#"{"id": 1}"#));
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensating));
    // Deaf for an hour: no time of its own passes (S5.13).
    hand.advance(3_600_000, &[]);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensating));
    hand.at(3_609_000);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensating));
    // A restart knows for what is waited, and for how much longer.
    let slot =
        hand.said.iter().rev().find_map(|action| if let Action::Save(slot) = action { Some(*slot) } else { None });
    let saved = hand.engine.snapshot_chain(slot.expect("it was saved")).expect("a snapshot");
    let mut again = Hand::new(policy(rule));
    again.at(3_609_000);
    again.engine.restore_chain(&saved).expect("it fits");
    for hand in [&mut hand, &mut again] {
        let begun = if hand.commands().is_empty() { 3_619_001 } else { 3_611_000 };
        hand.at(begun);
        let said = hand.said.iter().any(|action| {
            matches!(action, Action::Change { change: ChainChange::Answered { state: "silence", .. }, .. })
        });
        assert!(said, "silence is said to have been the answer");
        assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensated));
        assert!(hand.commands().len() <= 1, "nothing is sent again");
    }
}

#[test]
fn silence_is_no_answer_while_inputs_wait_for_memory() {
    let mut hand = Hand::new(policy("undo.body = \"CANCEL {response.id}\"\nundo.silence = \"10s\""));
    let others = hand.engine.lane("results", 0);
    placed(&mut hand, json_of(r#"{"id": 1}"#));
    let id = hand.commands()[0].command_id.clone();
    hand.engine.hold(hand.lane, true);
    for ms in [5_000, 11_000, 60_000] {
        hand.advance(ms, &[others]);
        assert_eq!(hand.engine.view("c").map(|view| view.state), Some(PlanState::Compensating), "{ms}");
    }
    hand.engine.hold(hand.lane, false);
    hand.result(60_100, "c", &id, ResultState::Failed);
    hand.at(90_000);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::NeedsOperator));
}

#[test]
fn what_has_nowhere_to_go_after_all_is_stuck_and_its_silence_no_answer() {
    let mut hand = Hand::new(policy("undo.body = \"CANCEL {response.id}\"\nundo.silence = \"10s\""));
    placed(&mut hand, json_of(r#"{"id": 1}"#));
    let id = hand.commands()[0].command_id.clone();
    hand.input(600, &Input::Unrouted(Published { chain_id: "c", command_id: &id }));
    hand.at(60_000);
    let view = hand.view_said("c").expect("a picture");
    assert_eq!((view.state, view.waits), (PlanState::NeedsOperator, vec![WaitReason::NoRoute]));
    hand.operation(61_000, "c", "order", Verb::Retry);
    assert_eq!(hand.commands().last().map(|command| (command.command_id.as_str(), command.attempt)), Some((&*id, 2)));
    hand.at(90_000);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensated));
}

#[test]
fn what_does_not_fit_is_said_without_what_it_is() {
    let mut policy = policy(
        r#"undo.body = '{"order_id": "{response.id}", "cents": "{response.card}"}'
           undo.type = "shop.v1.CancelOrder"
           undo.silence = "1s""#,
    );
    policy.catalogue.payloads.add(include_bytes!("fixtures/config/shop.binpb")).expect("a set of descriptors");
    let mut hand = Hand::new(policy);
    placed(&mut hand, json_of(r#"{"id": "o-7", "card": "4111-1111"}"#));
    let view = hand.view_said("c").expect("a picture");
    assert_eq!(view.commands[0].detail, "it is no shop.v1.CancelOrder: what stands in `cents` is none of that field");
}

#[test]
fn an_error_in_time_breaks_the_silence() {
    let mut hand = Hand::new(policy("undo.body = \"CANCEL {response.id}\"\nundo.silence = \"10s\""));
    placed(&mut hand, json_of(r#"{"id": 1}"#));
    assert_eq!(
        (message(&hand).payload.as_slice(), message(&hand).content_type.as_str()),
        (&b"CANCEL 1"[..], "text/plain; charset=utf-8")
    );
    let id = hand.commands()[0].command_id.clone();
    hand.result(9_000, "c", &id, ResultState::Failed);
    hand.at(60_000);
    let view = hand.view_said("c").expect("a picture");
    assert_eq!((view.state, view.waits), (PlanState::NeedsOperator, vec![WaitReason::Stuck]));
}

#[test]
fn what_lacks_a_value_is_never_sent() {
    let mut hand = Hand::new(policy("undo.body = '{\"id\": \"{response.order.id}\"}'\nundo.silence = \"10s\""));
    placed(&mut hand, json_of(r#"{"order": {}}"#));
    let view = hand.view_said("c").expect("a picture");
    assert_eq!((view.state, view.waits.as_slice()), (PlanState::NeedsOperator, &[WaitReason::Unwritable][..]));
    assert_eq!(view.commands[0].detail, "there is no value for {response.order.id}");
    assert_eq!((view.commands[0].state, hand.commands().len()), (PlanItemState::Stuck, 0));
    hand.operation(600, "c", "order", Verb::Retry);
    assert_eq!(hand.commands().len(), 0, "there is still none");
    hand.operation(700, "c", "order", Verb::MarkDone);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensated));
}

#[test]
fn an_envelope_is_a_call_of_ours_and_its_response_the_answer() {
    let mut hand = Hand::new(policy("undo.body = '{\"id\": \"{response.id}\"}'\nundo.envelope = true"));
    placed(&mut hand, json_of(r#"{"id": "o-7"}"#));
    let command = hand.commands()[0].clone();
    let envelope = wire::request_of(&command, message(&hand));
    assert_eq!((envelope.call_id.as_str(), envelope.compensates.as_str()), (command.command_id.as_str(), "order"));
    assert_eq!(
        (envelope.operation.as_str(), envelope.payload.as_ref().unwrap().type_url.as_str()),
        ("CancelOrder", "type.googleapis.com/google.protobuf.Struct")
    );
    let calls = |hand: &Hand| hand.engine.view("c").expect("a picture").calls.len();
    let before = calls(&hand);
    // The agent reads its own request, a call that was made for it, and its answer.
    let id = command.command_id.as_str();
    hand.request(600, "c", id, "", |request| request.compensates = "order");
    assert_eq!(calls(&hand), before, "it is a command, not a call");
    hand.request(610, "c", "inside", id, |request| request.effect = support::undo("Never"));
    hand.respond(620, "c", "inside", StatusCode::Failed, "NO");
    hand.message(625, "c", "told", MessageKind::Event(Hand::asked(id)));
    hand.report(630, "c", id, "orders", StatusCode::Unknown);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensating));
    hand.at(5_000);
    assert_eq!(hand.commands().len(), 2, "it is sent again after a backoff");
    hand.report(5_100, "c", id, "orders", StatusCode::Ok);
    let view = hand.view_said("c").expect("a picture");
    assert_eq!(view.state, PlanState::Compensated);
    let verdict = view.verdict.expect("a verdict");
    assert!(verdict.anomalies.is_empty() && !verdict.incomplete, "{verdict:?}");
    assert_eq!(hand.commands().len(), 2, "what is done for an undo is undone by nobody");
}

#[test]
fn nobody_answers_an_envelope_for_the_service_that_it_was_for() {
    let mut hand = Hand::new(policy("undo.body = '{\"id\": \"{response.id}\"}'\nundo.envelope = true"));
    placed(&mut hand, json_of(r#"{"id": "o-7"}"#));
    let id = hand.commands()[0].command_id.clone();
    for other in ["", "payment"] {
        hand.report(600, "c", &id, other, StatusCode::Ok);
        assert_eq!(hand.engine.view("c").map(|view| view.state), Some(PlanState::Compensating), "{other:?}");
    }
    hand.report(700, "c", &id, "orders", StatusCode::Ok);
    assert_eq!(hand.view_said("c").map(|view| view.state), Some(PlanState::Compensated));
}
