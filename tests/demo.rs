//! `countermand demo`: the whole of it on the embedded bus, as fast as it goes.

#![cfg(feature = "agent")]

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countermand"));
    command.args(["demo", "--speed", "0", "--http", "127.0.0.1:0"]).args(arguments);
    command.output().expect("the demo runs")
}

fn accounts(arguments: &[&str]) -> (Option<i32>, serde_json::Value) {
    let output = demo(&[&["--format", "json"], arguments].concat());
    let accounts = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    (output.status.code(), accounts)
}

#[test]
fn every_unit_is_accounted_for_whatever_goes_wrong() {
    for seed in ["1", "2", "3", "4", "5", "6"] {
        let (code, accounts) = accounts(&["--seed", seed, "--rate", "20"]);
        assert_eq!((code, &accounts["accounted_for"]), (Some(0), &true.into()), "seed {seed}: {accounts}");
        let number = |key: &str| accounts[key].as_u64().expect("a number");
        assert!(number("orders") > 900 && number("failed") > 30 && number("undone") > 100, "seed {seed}: {accounts}");
        assert_eq!(number("failed"), number("failed_chains"), "seed {seed}");
    }
}

#[test]
fn an_agent_that_is_killed_hundreds_of_times_loses_and_repeats_nothing() {
    let number = |accounts: &serde_json::Value, key: &str| accounts[key].as_u64().expect("a number");
    for seed in ["21", "22"] {
        let (_, calm) = accounts(&["--seed", seed, "--rate", "20"]);
        let (code, rough) = accounts(&["--seed", seed, "--rate", "20", "--kills", "300"]);
        assert_eq!((code, &rough["accounted_for"]), (Some(0), &true.into()), "seed {seed}: {rough}");
        // Commands may come a little later, so that a call that is late may find its effect barred or not.
        assert_eq!(number(&rough, "failed"), number(&calm, "failed"), "seed {seed}");
        assert_eq!(number(&rough, "failed_chains"), number(&calm, "failed_chains"), "seed {seed}");
    }
}

/// The accounts find out: without an agent that acts, half-done orders stay half done.
#[test]
fn without_undoing_the_accounts_are_wrong_and_say_where() {
    let (code, accounts) = accounts(&["--mode", "observe"]);
    assert_eq!((code, &accounts["accounted_for"]), (Some(1), &false.into()));
    let wrong = accounts["wrong"].as_array().expect("a list");
    assert!(wrong.len() as u64 > accounts["failed"].as_u64().expect("a number"), "{wrong:?}");
    assert!(
        wrong[0].as_str().expect("words").contains(" failed, and inventory Reserve was not taken back"),
        "{wrong:?}"
    );
}

#[test]
fn one_seed_makes_one_run() {
    let story = || {
        let output = demo(&["--seed", "11", "--ascii"]);
        let text = String::from_utf8(output.stdout).expect("text");
        // The port that HTTP got is not of the story.
        text.lines().filter(|line| !line.contains("http://")).collect::<Vec<_>>().join("\n")
    };
    let first = story();
    assert!(first.contains("shipping 2.0 is released") && first.contains("Every unit of money and stock"), "{first}");
    assert_eq!(first, story());
}
