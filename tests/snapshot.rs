//! Snapshots (S5.4): versioned bytes; a restored engine goes on as the one before; damaged bytes are refused.

mod support;

use std::{fs, path::PathBuf};

use countermand::{
    engine::Engine,
    model::{Action, CommandResult, Input, Party, PlanState, ResultState, Slot, StatusCode},
};
use support::{Hand, auto, undo};

/// A chain with a command out, one undecided, one settled.
fn busy() -> (Hand, Vec<Slot>) {
    let mut hand = Hand::new(auto());
    hand.request(0, "failed", "root", "", |_| {});
    hand.request(1, "failed", "stock", "root", |request| request.effect = undo("Release"));
    hand.respond(5, "failed", "stock", StatusCode::Ok, "");
    hand.request(6, "failed", "pay", "root", |request| request.effect = undo("Refund"));
    hand.respond(9, "failed", "pay", StatusCode::Ok, "");
    hand.respond(10, "failed", "root", StatusCode::Failed, "NO");
    hand.request(20, "open", "root", "", |_| {});
    hand.request(21, "fine", "root", "", |_| {});
    hand.respond(25, "fine", "root", StatusCode::Ok, "");
    hand.at(400);
    (hand, vec![Slot(0), Slot(1)])
}

fn restore(hand: &mut Hand, slots: &[Slot]) -> Hand {
    let mut fresh = Hand::new(auto());
    fresh.offset = hand.offset;
    fresh.engine.restore_engine(&hand.engine.snapshot_engine()).expect("the engine's own bytes");
    for &slot in slots {
        let bytes = hand.engine.snapshot_chain(slot).expect("a chain in its slot");
        fresh.engine.restore_chain(&bytes).expect("a chain's own bytes");
    }
    fresh.engine.restore_closed(&hand.engine.take_closed().expect("a settled chain")).expect("closed ids");
    fresh
}

fn answer<'a>(command_id: &'a str, chain_id: &'a str) -> Input<'a> {
    Input::Result(CommandResult {
        command_id,
        chain_id,
        state: ResultState::Done,
        reason: "",
        message: "",
        by: Party::default(),
    })
}

#[test]
fn a_restored_engine_goes_on_as_the_one_before() {
    let (mut before, slots) = busy();
    let mut after = restore(&mut before, &slots);
    before.said.clear();
    for hand in [&mut before, &mut after] {
        // Resent at its time, under its id; answered; the next wave goes; the open chain times out.
        hand.at(40_000);
        let first = hand.commands().first().expect("the first wave is sent again").command_id.clone();
        hand.input(41_000, &answer(&first, "failed"));
        hand.at(120_000);
    }
    let views = |hand: &Hand| (hand.engine.view("failed"), hand.engine.view("open"), hand.engine.view("fine"));
    let (failed, open, _) = views(&before);
    assert_eq!(views(&after).0, failed);
    assert_eq!(views(&after).1, open);
    let ids = |hand: &Hand| {
        hand.commands().iter().map(|command| (command.command_id.clone(), command.attempt)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&after), ids(&before));
    assert!(failed.is_some_and(|view| view.state == PlanState::Compensating));
}

#[test]
fn what_a_snapshot_holds_is_not_applied_twice() {
    let (mut before, slots) = busy();
    let mut after = restore(&mut before, &slots);
    after.offset = 0;
    let view = after.engine.view("failed");
    after.request(400, "failed", "root", "", |_| {});
    after.request(400, "failed", "stock", "root", |request| request.effect = undo("Other"));
    after.request(400, "fine", "root", "", |_| {});
    assert_eq!(after.engine.stats().reread, 3);
    assert_eq!(after.engine.view("failed"), view);
    assert!(!after.said.iter().any(|action| matches!(action, Action::Refused(_))), "{:?}", after.said);
}

#[test]
fn damaged_bytes_are_refused_and_never_break_the_engine() {
    let (hand, slots) = busy();
    let bytes = hand.engine.snapshot_chain(slots[0]).expect("a chain in its slot");
    for cut in 0..bytes.len() {
        assert!(Engine::new(auto()).restore_chain(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x55;
        let mut engine = Engine::new(auto());
        if engine.restore_chain(&damaged).is_ok() {
            // Whatever it was taken for, it can be looked at and lived with.
            let lane = engine.lane("envelopes", 0);
            let _ = engine.view("failed");
            engine.advance(countermand::model::HostTime(support::BASE + 1_000), &[lane], &mut Vec::new());
        }
    }
    let error = Engine::new(auto()).restore_chain(&[9, 1, 2]).expect_err("an unknown version");
    assert!(error.contains("version 9"), "{error}");
}

/// Bytes that release 0.1 wrote. They are read for ever: if this fails, the layout changed and needs a new version.
#[test]
fn snapshots_of_released_versions_are_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshots/chain-v1.bin");
    let (hand, slots) = busy();
    let now = hand.engine.snapshot_chain(slots[0]).expect("a chain in its slot");
    if std::env::var_os("COUNTERMAND_WRITE_FIXTURES").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for fixtures");
        fs::write(&path, &now).expect("the fixture is written");
    }
    let kept = fs::read(&path).expect("the fixture of version 1");
    let mut engine = Engine::new(auto());
    engine.restore_chain(&kept).expect("version 1 is read");
    assert_eq!(engine.view("failed"), hand.engine.view("failed"));
    assert_eq!(now, kept, "what is written today is no longer what version 1 was");
}
