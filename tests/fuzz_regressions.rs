//! What the fuzz targets (`scripts/fuzz`) found once, and must not find again.

mod support;

use std::{fs, path::PathBuf};

use countermand::{
    engine::Engine,
    model::{EffectDeclaration, MessageKind, Party, Request, Slot, Span},
    policy::{Consumers, OperationRule, Pattern},
};
use support::{Hand, auto};

/// A chain without a message belongs to no lane: its timer fired for ever, and `advance` never came back (S2.5).
#[test]
fn a_snapshot_of_a_chain_without_a_message_is_refused() {
    // Version, id, then zero of everything: lanes, times, messages seen, anomalies, calls, decision.
    let bytes = [&[1, 6][..], b"failed", &[0; 7]].concat();
    let error = Engine::new(auto()).restore_chain(&bytes).expect_err("there is nothing to judge");
    assert!(error.contains("message"), "{error}");
    // A call of which neither request nor answer is known is no better: id, no parent, no request, no answers.
    let bytes = [&[1, 6][..], b"failed", &[0; 5], &[1, 1, b'a', 0, 0, 0, 0]].concat();
    let error = Engine::new(auto()).restore_chain(&bytes).expect_err("there is nothing to judge");
    assert!(error.contains("message"), "{error}");
}

/// An item that asks fell due again and again without being sent, until memory ended (S5.2).
#[test]
fn a_snapshot_with_an_item_that_only_asks_is_refused() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshots/chain-v1.bin");
    let bytes = fs::read(&path).expect("the fixture of version 1");
    // Of all places that can be made a two, the actions of its two items are the ones that are refused for this.
    let refused = (1..bytes.len()).filter(|&place| {
        let mut damaged = bytes.clone();
        damaged[place] = 2;
        let answer = Engine::new(auto()).restore_chain(&damaged);
        answer.is_err_and(|error| error.contains("neither undoes nor retries"))
    });
    assert_eq!(refused.count(), 2);
}

/// S1.7, S5.4: after a restart the consumers that the catalogue names were no calls of their event any more, so that
/// it had succeeded at once, whatever they reported.
#[test]
fn a_restored_event_still_waits_for_the_consumers_of_the_catalogue() {
    let mut policy = auto();
    let mut rule = OperationRule::new(Pattern::new("*").expect("a pattern"));
    let services = vec!["stock".to_owned(), "mail".to_owned()];
    rule.consumers = Some(Consumers { services, report_within: Span::secs(5) });
    policy.catalogue.rules.push(rule);
    let mut hand = Hand::new(policy.clone());
    let event = Request {
        parent: "",
        source: Party { service: "shop", ..Party::default() },
        destination: Party::default(),
        operation: "OrderPlaced",
        timeout: None,
        retry_of: "",
        compensates: "",
        during: "",
        effect: EffectDeclaration::default(),
        attributes: None,
        payload: None,
    };
    hand.message(0, "c", "placed", MessageKind::Event(event));
    let before = hand.engine.view("c").expect("the chain is kept");
    assert_eq!(before.calls.len(), 2, "one call a consumer");
    let bytes = hand.engine.snapshot_chain(Slot(0)).expect("a chain in its slot");
    let mut fresh = Engine::new(policy);
    fresh.restore_chain(&bytes).expect("a chain's own bytes");
    assert_eq!(fresh.view("c"), Some(before));
}
