//! The command line: what goes to stdout, what to stderr, and which exit code says what (contract.md).

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn countermand(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countermand"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have closed it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const GOOD: &str = "tests/fixtures/scenarios/blame.yaml";
const RECORDING: &str = "tests/fixtures/recordings/declined-card.jsonl";
const CHAIN: &str = "5f1c6a0e-2b7d-4c1e-9a53-0d5a3c1b7e11";

#[test]
fn test_exits_with_0_if_all_pass_1_if_one_fails_and_2_if_one_cannot_be_read() {
    let good = countermand(&["test", GOOD], "");
    assert_eq!((good.status.code(), text(&good.stderr)), (Some(0), ""));
    assert!(text(&good.stdout).ends_with("\n7 passed\n"), "{}", text(&good.stdout));

    let wrong = fs::read_to_string(GOOD).unwrap().replace("failing: hotel", "failing: flight");
    let failed = countermand(&["test", "-", "--ascii"], &wrong);
    assert_eq!(failed.status.code(), Some(1));
    for part in [
        "FAIL  -: the answer names its cause, against equal reasons and earlier failures\n",
        "      at the end        expected  came\n      chain c: failing  flight    hotel\n",
        "<-- failing edge",
        "6 passed, 1 failed\n",
    ] {
        assert!(text(&failed.stdout).contains(part), "no {part:?} in\n{}", text(&failed.stdout));
    }

    let json = countermand(&["test", "-", "--format", "json", "--filter", "S3.8"], &wrong);
    let line = "{\"differences\":[{\"at\":null,\"came\":\"hotel\",\"expected\":\"flight\",\"what\":\"chain c: failing\"}],\
                \"file\":\"-\",\"passed\":false,\"scenario\":\"the answer names its cause, against equal reasons and earlier \
                failures\"}";
    assert_eq!(json_lines(&json)[0], serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(json_lines(&json).len(), 2, "the filter names a rule of two scenarios");

    let unreadable = countermand(&["test", GOOD, "-", "--format", "json"], "scenario: odd\nbuss: []\n");
    assert_eq!(unreadable.status.code(), Some(2));
    assert!(
        text(&unreadable.stderr).starts_with("error: -: odd: unknown field `buss`"),
        "{}",
        text(&unreadable.stderr)
    );
    assert_eq!(json_lines(&unreadable).len(), 8);
    for args in
        [&["test"][..], &["test", "no-such-file"], &["test", "src"], &["test", GOOD, "--filter", "no such thing"]]
    {
        assert_eq!(countermand(args, "").status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn replay_prints_a_line_for_every_chain_and_keeps_what_it_refused() {
    let letters = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("letters.jsonl");
    let bad = "{\"at\":\"2026-01-02T03:04:08Z\",\"envelope\":{\"chainId\":\"\"}}\nbroken\n";
    let args = ["replay", RECORDING, "-", "--format", "json", "--dead-letters", letters.to_str().unwrap()];
    let output = countermand(&args, bad);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    let line = concat!(
        r#"{"chain_id":"5f1c6a0e-2b7d-4c1e-9a53-0d5a3c1b7e11","outcome":"failed","failing_edge":{"caller":"order","#,
        r#""callee":"payment","operation":"Charge","call_id":"charge"},"cause":"error","path":["place","charge"],"#,
        r#""contributing":[],"tolerated":[],"anomalies":[],"ambiguous":false,"incomplete":false,"commands":[{"wave":1,"#,
        r#""generation":1,"action":"undo","call_id":"reserve","service":"inventory","operation":"Release","#,
        r#""certainty":"applied"}],"state":"abandoned"}"#
    );
    assert_eq!(lines[0], line);
    assert_eq!(lines.len(), 2);
    assert!(text(&output.stderr).contains("refused input"), "{}", text(&output.stderr));

    let letters: Vec<serde_json::Value> =
        fs::read_to_string(letters).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = letters
        .iter()
        .map(|letter| {
            (letter["file"].as_str().unwrap(), letter["line"].as_u64().unwrap(), letter["text"].as_str().unwrap())
        })
        .collect();
    let refused: Vec<&str> = bad.lines().collect();
    assert_eq!(said, [("-", 1, refused[0]), ("-", 2, refused[1])]);
    assert_eq!(letters[1]["reason"], "malformed_json");
}

#[test]
fn replay_explains_a_chain_and_says_when_it_is_not_there() {
    let output = countermand(&["replay", RECORDING, "--explain", CHAIN], "");
    assert_eq!(output.status.code(), Some(0));
    for part in ["◀ failing edge", "  wave 1  undo  reserve  inventory Release", "plan: abandoned"] {
        assert!(text(&output.stdout).contains(part), "no {part:?} in\n{}", text(&output.stdout));
    }
    assert_eq!(countermand(&["replay", RECORDING, "--explain", "x"], "").status.code(), Some(1));
    assert_eq!(countermand(&["replay", "no-such-file"], "").status.code(), Some(2));
    let cut = countermand(&["replay", "-"], "\u{1f}");
    assert_eq!(cut.status.code(), Some(0), "one bad line is no broken recording");
}
