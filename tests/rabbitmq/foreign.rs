//! Undo of a service that does not know commands: it gets a message of its own kind on its own queue, and answers as in any
//! RPC, or not at all (docs/undo.md).

use countermand::wire::proto::{Envelope, Kind, Status, StatusCode};
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    bus::{Made, Reader, Sender, make_dying_queue, make_queue},
    traffic::{send, undeclared},
    world::World,
};

/// A world whose stock is undone by messages on a queue of its own.
fn world(name: &str, answer: &str) -> (World, String) {
    let mut world = World::new(name);
    let jobs = world.topic("stock.jobs");
    world.more = format!(
        r#"dead_letter_queues = ["{dead}"]
            [[operations]]
            match = "inventory/Reserve"
            undo.operation = "TakeBack"
            undo.route = "{jobs}"
            undo.headers = {{ type = "TakeBack" }}
            undo.body = '{{"take_back": "{{response.shelf.no}}", "of": "{{response.for}}"}}'
            {answer}"#,
        dead = world.topic("dead")
    );
    make_queue(&world.topic("dead"), Made::Classic);
    (world, jobs)
}

#[test]
fn a_service_answers_as_in_any_rpc() {
    let (world, jobs) = world("foreign", r#"undo.reply = { field = "state", done = ["TAKEN"], failed = ["*"] }"#);
    make_queue(&jobs, Made::Quorum);
    let agent = world.start("a").ready();
    let sender = Sender::new();
    for message in undeclared("chain-1") {
        send(&world, &sender, &message);
    }
    let job = Reader::new(&[&jobs]).find("a message that the service understands", Some);
    let body: Value = serde_json::from_slice(&job.payload).expect("JSON");
    assert_eq!(body, json!({"take_back": 7, "of": "chain-1"}));
    let property = |text: &Option<lapin::types::ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
    let properties = &job.properties;
    assert_eq!(property(properties.kind()).as_deref(), Some("TakeBack"));
    assert_eq!(property(properties.content_type()).as_deref(), Some("application/json"));
    let (to, whose) = (property(properties.reply_to()), property(properties.correlation_id()));
    let (to, whose) = (to.expect("where to reply"), whose.expect("what to bring back"));
    assert_eq!(to, world.topic("results"));
    sender.send(&to, "", br#"{"state": "TAKEN"}"#, &[("correlation_id", &whose)]);
    sender.flush();
    let picture = agent.chain("chain-1", |picture| picture["state"] == "compensated");
    assert_eq!(
        (&picture["commands"][0]["operation"], &picture["commands"][0]["sends"]),
        (&"TakeBack".into(), &1.into())
    );
    assert!(agent.terminate().success());
}

/// What is sent may be an envelope, and its answer a response envelope where any RPC is answered.
#[test]
fn the_response_to_an_envelope_may_come_where_it_was_asked_for() {
    let (world, jobs) = world("enveloped", "undo.envelope = true");
    make_queue(&jobs, Made::Quorum);
    let agent = world.start("a").ready();
    let sender = Sender::new();
    for message in undeclared("chain-1") {
        send(&world, &sender, &message);
    }
    let asked = Reader::new(&[&jobs]).find("an envelope", Some);
    let call = Envelope::decode(&*asked.payload).expect("an envelope");
    assert_eq!((call.compensates.as_str(), call.operation.as_str()), ("reserve", "TakeBack"));
    let response = Envelope {
        kind: Kind::Response.into(),
        message_id: "answer".to_owned(),
        chain_id: call.chain_id,
        call_id: call.call_id,
        source: call.destination,
        status: Some(Status { code: StatusCode::Ok.into(), ..Status::default() }),
        ..Envelope::default()
    };
    let text = |text: &Option<lapin::types::ShortString>| text.as_ref().expect("a property").as_str().to_owned();
    let (to, whose) = (text(asked.properties.reply_to()), text(asked.properties.correlation_id()));
    sender.send(&to, "", &response.encode_to_vec(), &[("correlation_id", &whose)]);
    sender.flush();
    let picture = agent.chain("chain-1", |picture| picture["state"] == "compensated");
    assert_eq!(picture["commands"][0]["sends"].as_u64(), Some(1));
    assert!(agent.terminate().success());
}

#[test]
fn what_dies_on_its_way_is_an_answer_and_silence_is_one_only_without_it() {
    let (world, jobs) = world("silence", "undo.silence = \"3s\"");
    make_dying_queue(&jobs, &world.topic("dead"));
    let agent = world.start("a").ready();
    let sender = Sender::new();
    let tell = |chain: &str| undeclared(chain).iter().for_each(|message| send(&world, &sender, message));
    tell("dies");
    let picture = agent.chain("dies", |picture| picture["state"] == "needs_operator");
    assert_eq!(picture["commands"][0]["reason"], "stuck", "{picture}");
    // Somebody takes this one, and says nothing.
    let reader = Reader::new(&[&jobs]);
    reader.next(std::time::Duration::ZERO);
    tell("lives");
    reader.find("the message", Some);
    agent.chain("lives", |picture| picture["state"] == "compensated");
    assert_eq!(agent.metric("countermand_answers_total{answer=\"silence\"}"), Some(1.0));
    assert!(agent.terminate().success());
}
