//! Undo of a service that does not know commands: it gets a message of its own kind, and replies in its own way
//! (docs/undo.md).

use serde_json::{Value, json};

use crate::{
    bus::{Got, Reader, Sender, make_topic_of, make_topics},
    traffic::{send, undeclared},
    world::World,
};

/// The next job of the service: what it says, and what a reply must bring back.
fn job(jobs: &Reader, chain: &str) -> (Got, String) {
    let got = jobs.find("a message that the service understands", |got| (got.key == chain).then_some(got));
    let body: Value = serde_json::from_slice(&got.payload).expect("JSON");
    assert_eq!(body, json!({"take_back": 7, "of": chain, "why": "undo of inventory/Reserve"}));
    assert_eq!((got.headers["kind"].as_str(), got.headers["content-type"].as_str()), ("TakeBack", "application/json"));
    let correlation = got.headers["correlation-id"].clone();
    (got, correlation)
}

#[test]
fn a_service_that_knows_no_commands_is_undone_by_its_own_messages() {
    let mut world = World::new("foreign");
    let (jobs, replies) = (world.topic("stock.jobs"), world.topic("stock.replies"));
    make_topics(&[&jobs]);
    make_topic_of(&replies, 2);
    world.more = format!(
        r#"replies = ["{replies}"]
            [[operations]]
            match = "inventory/Reserve"
            undo.operation = "TakeBack"
            undo.route = "{jobs}"
            undo.headers = {{ kind = "TakeBack", correlation-id = "{{correlation}}", reply-topic = "{{replies}}" }}
            undo.body = '{{"take_back": "{{response.shelf.no}}", "of": "{{response.for}}", "why": "undo of {{service}}/{{operation}}"}}'
            undo.reply = {{ field = "state", done = ["TAKEN"], retryable = ["BUSY"] }}"#
    );
    let mut agent = world.start("a").ready();
    let sender = Sender::new();
    let jobs = || Reader::new(&[&jobs]);
    for chain in ["here", "there", "told"] {
        for message in undeclared(chain) {
            send(&world, &sender, &message);
        }
    }
    let reply = |topic: &str, correlation: &str, state: &str| {
        let body = json!({"state": state}).to_string();
        sender.send(topic, "customer-1", body.as_bytes(), &[("in-reply-to", correlation)]);
        sender.flush();
    };
    // In a topic of its own, keyed as the service keys; replies to others stand there, too.
    let (_, correlation) = job(&jobs(), "here");
    for noise in ["", "somebody-else-s", "cm1.nonsense"] {
        reply(&replies, noise, "TAKEN");
    }
    reply(&replies, &correlation, "TAKEN");
    let picture = agent.chain("here", |picture| picture["state"] == "compensated");
    assert_eq!(
        (&picture["commands"][0]["operation"], &picture["commands"][0]["sends"]),
        (&"TakeBack".into(), &1.into())
    );
    // Where it was told, keyed as it likes: that is found from every partition. A word that nobody knows is kept, and is none.
    let (got, correlation) = job(&jobs(), "there");
    assert_eq!(got.headers["reply-topic"], world.topic("results"));
    reply(&got.headers["reply-topic"], &correlation, "WHAT?");
    let letter = Reader::new(&[&world.topic("dead-letters")]).find("the reply", Some);
    assert_eq!(letter.headers["countermand-reason"], "unknown_reply");
    reply(&got.headers["reply-topic"], &correlation, "TAKEN");
    agent.chain("there", |picture| picture["state"] == "compensated");
    // While no agent is there. The next one says the same again when it is told to.
    let told = jobs();
    let (first, correlation) = job(&told, "told");
    agent.kill();
    reply(&replies, &correlation, "BUSY");
    let agent = world.start("a").ready();
    let (again, _) = job(&told, "told");
    assert_eq!(
        (&again.payload, &again.headers["countermand-command-id"]),
        (&first.payload, &first.headers["countermand-command-id"])
    );
    reply(&replies, &correlation, "TAKEN");
    let picture = agent.chain("told", |picture| picture["state"] == "compensated");
    assert_eq!(picture["commands"][0]["sends"], 2);
    assert_eq!(jobs().rest().len(), 4, "nothing else was sent");
    assert!(agent.terminate().success());
}
