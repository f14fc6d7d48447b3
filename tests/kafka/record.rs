//! `record`: what it taps, and that `replay` of it gives what `run` gives.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use countermand::recording::{Line, Reader as Recording};
use serde_json::{Value, json};

use crate::{
    broker::bootstrap,
    bus::{Sender, committed, until},
    recorded::{all_replayed, produce, recordings},
    traffic::{Story, send},
    world::World,
};

fn folder(world: &World) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&world.name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Starts `countermand record` of this world's topics; what it says goes to `said`.
fn record(world: &World, said: &Path, args: &[&str]) -> Child {
    let topics = format!("{},{}", world.requests, world.responses);
    Command::new(env!("CARGO_BIN_EXE_countermand"))
        .args(["record", "--kafka", bootstrap(), "--topics", &topics])
        .args(["--results", &world.topic("results"), "--operations", &world.topic("operations")])
        .args(args)
        // On a busy machine a fetch may take longer than the usual wait for it.
        .env("COUNTERMAND_KAFKA__ALIGN_WAIT", "5s")
        .current_dir(folder(world))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(said).expect("a file"))
        .spawn()
        .expect("the binary runs")
}

/// Each recording goes through Kafka, on two topics and four partitions, into another one. That gives what the first gives,
/// chain for chain, and so what `run` gives (see `recorded.rs`). What cannot be decoded is kept beside it.
#[test]
fn what_is_recorded_replays_as_what_was_sent() {
    for (n, file) in recordings().iter().enumerate() {
        let world = World::new(&format!("record-{n}"));
        produce(&world, file);
        let sender = Sender::new();
        sender.send_at(&world.responses, "key", b"\xffno envelope", Some(1_700_000_000_000));
        sender.flush();
        let (said, letters) = (folder(&world).join("said"), folder(&world).join("letters.jsonl"));
        let recorded = folder(&world).join("recorded.jsonl.zst");
        let (to, kept) = (recorded.display().to_string(), letters.display().to_string());
        let args = ["--start", "earliest", "--until-idle", "2s", "-o", &to, "--dead-letters", &kept];
        let done = record(&world, &said, &args).wait().expect("an end");
        let said = fs::read_to_string(&said).expect("what it said");
        assert!(done.success(), "{said}");
        assert_eq!(all_replayed(&recorded), all_replayed(file), "{}", file.display());

        let letter: Value = serde_json::from_str(&fs::read_to_string(&letters).expect("letters")).expect("one letter");
        assert_eq!((&letter["reason"], &letter["payload_base64"]), (&json!("malformed"), &json!("/25vIGVudmVsb3Bl")));
        let origin = letter["origin"].as_str().expect("an origin");
        assert!(origin.starts_with(&format!("{}/", world.responses)), "{origin}");
        assert!(said.contains("warning: 1 could not be decoded") && said.contains(origin), "{said}");
        for topic in [&world.requests, &world.responses] {
            assert_eq!(committed("countermand", topic), [None; 4], "nothing is committed");
        }
    }
}

/// From the end of the topics on, and ended by SIGTERM: the file is whole, with each message where it stood.
#[test]
fn a_signal_ends_a_recording_that_can_be_read() {
    let world = World::new("record-signal");
    let sender = Sender::new();
    let [(_, before), ..] = &Story::Declined.messages("before")[..] else { panic!("a story") };
    send(&world, &sender, before);
    let (said, file) = (folder(&world).join("said"), folder(&world).join("recorded.jsonl.gz"));
    let mut child = record(&world, &said, &["-o", &file.display().to_string()]);
    let told = || fs::read_to_string(&said).unwrap_or_default();
    until("the recording to begin", || {
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended by itself: {}", told());
        told().contains("Ctrl-C ends it").then_some(())
    });
    let story = Story::Declined.messages("chain");
    for (_, envelope) in &story {
        send(&world, &sender, envelope);
    }
    // What was read is handed on while nothing more comes.
    let lines = |file: &Path| Recording::open(file).map(|lines| lines.map_while(Result::ok).count()).unwrap_or(0);
    until("all messages in the file", || (lines(&file) == story.len()).then_some(()));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success() && child.wait().expect("an end").success(), "{}", told());
    let entries: Vec<_> = Recording::open(&file)
        .expect("a recording")
        .map(|line| match line.expect("a whole recording") {
            Line::Entry(entry) => entry,
            Line::Bad(bad) => panic!("{bad:?}"),
        })
        .collect();
    let topic = |n: usize| entries[n].topic.as_deref().expect("a topic");
    assert_eq!((entries.len(), topic(0), topic(2)), (story.len(), &*world.requests, &*world.responses));
    assert!(entries.is_sorted_by_key(|entry| entry.at), "in the order of the bus");
    assert!(entries.iter().all(|entry| entry.partition == entries[0].partition), "keyed by chain");
}
