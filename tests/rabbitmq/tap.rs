//! `record` and `doctor` on RabbitMQ: what they read stays there for others.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    broker::url,
    bus::{Made, Sender, bind, look, make_queue, until},
    traffic::{Story, send},
    world::World,
};
use prost::Message as _;

fn countermand(world: &World, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countermand"));
    command.args(args).args(["--amqp", url()]).current_dir(&world.folder).stdin(Stdio::null());
    command
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The chain that a recording holds.
fn replayed(file: &Path) -> Value {
    let replay = Command::new(env!("CARGO_BIN_EXE_countermand"))
        .args(["replay", "--format", "json"])
        .arg(file)
        .output()
        .expect("the binary runs");
    let chains = lines(&replay);
    assert_eq!(chains.len(), 1, "{chains:?}");
    chains[0].clone()
}

#[test]
fn what_is_looked_at_is_given_back() {
    let world = World::new("doctor");
    let sender = Sender::new();
    for n in 0..5 {
        for (_, message) in Story::Declined.messages(&format!("chain-{n}")) {
            send(&world, &sender, &message);
        }
    }
    let queues = format!("{},{}", world.requests, world.responses);
    let there = || [&world.requests, &world.responses].map(|queue| look(queue).map(|(ready, _)| ready));
    assert_eq!(there(), [Some(15), Some(15)]);
    let done = countermand(&world, &["doctor", "--queue", &queues, "--format", "json"]).output().expect("a run");
    let said = lines(&done);
    let of =
        |about: &str| said.iter().find(|line| line["about"] == about).unwrap_or_else(|| panic!("{about}: {said:?}"));
    assert_eq!(of("clock")["severity"], "ok", "senders say when they sent");
    assert_eq!(of("bus")["severity"], "ok");
    let text = countermand(&world, &["doctor", "--queue", &queues, "--ascii"]).output().expect("a run");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("30 messages") && text.contains("inventory/Reserve"), "{text}");
    until("all to be there again", || (there() == [Some(15), Some(15)]).then_some(()));
    // While an agent reads them nobody else does.
    let agent = world.start("a").ready();
    let refused = countermand(&world, &["doctor", "--queue", &queues]).output().expect("a run");
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("another agent reads queue"), "{said}");
    assert!(agent.terminate().success());
}

#[test]
fn a_copy_of_an_exchange_and_a_stream_are_recorded() {
    let world = World::new("tapped");
    let (stream, queue) = (world.topic("stream"), world.topic("seen"));
    make_queue(&stream, Made::Stream);
    make_queue(&queue, Made::Classic);
    bind(&queue, &world.name, "results");
    let sender = Sender::new();
    let messages = Story::Declined.messages("chain-1");
    let count = messages.len().to_string();
    // A stream keeps what was written before.
    for (_, message) in &messages {
        sender.send(&stream, "", &message.encode_to_vec(), &[]);
    }
    sender.flush();
    let file = world.folder.join("stream.jsonl");
    let to = file.display().to_string();
    let args = ["record", "--stream", &stream, "--start", "earliest", "--limit", &count, "-o", &to];
    let done = countermand(&world, &args).output().expect("a run");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(replayed(&file)["failing_edge"]["callee"], "payment");
    // An exchange is heard from now on.
    let (file, said) = (world.folder.join("exchange.jsonl"), world.folder.join("said"));
    let to = file.display().to_string();
    let args = ["record", "--exchange", &world.name, "--bind", "results", "--limit", &count, "-o", &to];
    let mut tap = countermand(&world, &args)
        .stdout(Stdio::null())
        .stderr(fs::File::create(&said).expect("a file"))
        .spawn()
        .expect("the binary runs");
    until("the tap to listen", || fs::read_to_string(&said).ok().filter(|said| said.contains("recording a copy of")));
    for (_, message) in &messages {
        sender.send(&world.topic("results"), "", &message.encode_to_vec(), &[]);
    }
    sender.flush();
    assert!(tap.wait().expect("an end").success(), "{}", fs::read_to_string(&said).expect("what it said"));
    let chain = replayed(&file);
    assert_eq!((&chain["outcome"], &chain["failing_edge"]["callee"]), (&"failed".into(), &"payment".into()));
    assert_eq!(look(&queue).map(|(ready, _)| ready), u32::try_from(messages.len()).ok(), "others got theirs");
}
