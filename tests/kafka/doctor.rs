//! `doctor` against a real Kafka: what it finds, and that it leaves no trace.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    broker::bootstrap,
    bus::{Sender, committed},
    traffic::{Story, play},
    world::World,
};

/// The lines of `doctor --format json` about this world's topics, and its exit code.
fn doctor(world: &World, more: &[&str]) -> (Vec<Value>, Option<i32>) {
    let topics = format!("{},{}", world.requests, world.responses);
    let output = Command::new(env!("CARGO_BIN_EXE_countermand"))
        .args(["doctor", "--kafka", bootstrap(), "--topics", &topics, "--format", "json"])
        .args(["--results", &world.topic("results"), "--operations", &world.topic("operations")])
        .args(more)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the binary runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (lines, output.status.code())
}

fn finding<'a>(lines: &'a [Value], about: &str) -> &'a Value {
    lines.iter().find(|line| line["about"] == about).unwrap_or_else(|| panic!("nothing about {about} in {lines:#?}"))
}

#[test]
fn a_bus_is_examined_and_left_as_it_was() {
    let world = World::new("doctor");
    let stories: Vec<(String, Story)> =
        (0..40).map(|n| (format!("chain-{n}"), if n % 4 == 0 { Story::Declined } else { Story::Good })).collect();
    play(&world, &stories, 200);
    let (lines, code) = doctor(&world, &[]);
    assert_eq!(code, Some(0), "{lines:#?}");
    let sample = &lines[0];
    assert_eq!((&sample["messages"], &sample["whole_chains"]), (&json!(40 * 6), &json!(40)), "{sample}");
    for (about, severity) in [
        ("bus", "ok"),
        ("partitions", "ok"),
        ("own_topics", "note"),
        ("decodable", "ok"),
        ("keyed", "ok"),
        ("partitioner", "ok"),
        ("placed", "ok"),
        ("clock", "note"),
        ("answers", "ok"),
        ("timeouts", "warning"),
        ("effects", "ok"),
    ] {
        let found = finding(&lines, about);
        assert_eq!(found["severity"], severity, "{found:#}");
    }
    assert_eq!(finding(&lines, "own_topics")["numbers"]["missing"][0], json!(world.topic("operations")));
    let charge = lines.iter().find(|line| line["operation"] == "Charge").expect("the operation");
    assert_eq!((&charge["calls"], &charge["answered"], &charge["failed"]), (&json!(40), &json!(40), &json!(10)));
    assert!(charge["p999_ms"].as_u64().expect("a latency") > 0, "{charge}");

    let toml = lines.last().expect("a configuration")["toml"].as_str().expect("a text");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("doctor.toml");
    fs::write(&file, toml).expect("a file");
    let check = Command::new(env!("CARGO_BIN_EXE_countermand")).args(["check", "--config"]).arg(&file).output();
    let check = check.expect("the binary runs");
    assert!(check.status.success() && check.stderr.is_empty(), "{}", String::from_utf8_lossy(&check.stderr));

    // What is wrong now was right before: nothing else has changed, no topic was made and nothing committed.
    let sender = Sender::new();
    sender.send(&world.responses, "chain-1", br#"{"no": "envelope"}"#, &[]);
    let (_, strayed) = &Story::Good.messages("chain-1")[2];
    sender.send(&world.responses, "another key", &prost::Message::encode_to_vec(strayed), &[]);
    sender.send(&world.responses, "one more", &prost::Message::encode_to_vec(strayed), &[]);
    sender.send(&world.responses, "and one", &prost::Message::encode_to_vec(strayed), &[]);
    sender.flush();
    let (after, code) = doctor(&world, &[]);
    assert_eq!(code, Some(1), "{after:#?}");
    let decodable = finding(&after, "decodable");
    assert_eq!(decodable["severity"], "warning");
    let origin = decodable["numbers"]["reasons"]["malformed"]["examples"][0].as_str().expect("an origin");
    assert!(origin.starts_with(&format!("{}/", world.responses)), "{decodable:#}");
    assert_eq!(finding(&after, "keyed")["numbers"]["split_chains"], 1);
    assert_eq!(finding(&after, "own_topics"), finding(&lines, "own_topics"));
    assert_eq!(committed("countermand", &world.requests), [None; 4]);

    // Of a small sample the newest is taken.
    let (small, _) = doctor(&world, &["--sample", "8"]);
    assert_eq!(small[0]["messages"], 8);
}
