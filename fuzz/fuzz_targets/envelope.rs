//! Envelopes: any bytes through the contract's decoders, or a story of valid ones told to an engine.
//!
//! The first byte chooses: even, the rest are the bytes of a message; odd, rules and then steps are made of the rest.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use countermand::{
    model::{Handled, Input},
    wire::{self, WireLimits},
};
use countermand_fuzz::{
    World,
    account::Counted,
    policy::PolicySeed,
    story::{STEPS, Step, Teller},
};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((mode, rest)) if mode % 2 == 0 => decode(rest),
        Some((_, rest)) => {
            let _ = tell(&mut Unstructured::new(rest));
        }
        None => {}
    }
});

/// Any bytes, taken for each of the messages that come from the bus.
fn decode(bytes: &[u8]) {
    let limits = WireLimits::default();
    let mut world = World::new(countermand::policy::Policy::default(), 1);
    if let Ok(envelope) = wire::decode_envelope(bytes, &limits) {
        if let Ok(json) = wire::to_json(&envelope) {
            let back: wire::proto::Envelope = wire::from_json(json.as_bytes()).expect("what was written is read");
            assert_eq!(back, envelope, "JSON changed an envelope");
        }
        if let Ok(message) = wire::message(&envelope, &limits) {
            world.input(0, 0, &Input::Message(message));
        }
        if let Ok(letter) = wire::dead_letter(&envelope, Handled::Maybe, &limits) {
            world.input(0, 0, &Input::DeadLetter(letter));
        }
        world.pass(7_200_000, 1);
        world.look_at([envelope.chain_id.as_str()]);
    }
    if let Ok(result) = wire::decode_command_result(bytes, &limits)
        && let Ok(result) = wire::command_result(&result, &limits)
    {
        world.input(0, 0, &Input::Result(result));
    }
    if let Ok(operation) = wire::decode_operation(bytes, &limits)
        && let Ok(operation) = wire::operation(&operation, &limits)
    {
        world.input(0, 0, &Input::Operation(operation));
    }
}

/// A story over one to three lanes.
fn tell(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let policy = PolicySeed::arbitrary(u)?.policy();
    let lanes = 1 + usize::from(u8::arbitrary(u)? % 3);
    let (mut world, mut teller) = (World::new(policy, lanes), Teller::default());
    // Every other story commits its publications at once.
    let prompt = bool::arbitrary(u)?;
    for _ in 0..STEPS {
        if u.is_empty() {
            break;
        }
        teller.tell(&mut world, Step::arbitrary(u)?);
        if prompt {
            world.publish();
        }
    }
    world.look_at(Teller::chains());
    world.publish();
    for _ in 0..3 {
        world.pass(3_600_000, 0xff);
        world.publish();
    }
    world.look_at(Teller::chains());
    world.restart();
    Ok(())
}
