//! Snapshots: any bytes taken for saved state. They come from a topic that others can write to.
//!
//! The first byte says what the rest is: a chain, what is of no single chain, closed ids, or several of them, each
//! behind its kind and its length in two bytes.

#![no_main]

use countermand::{
    engine::Engine,
    model::{
        Action, EffectDeclaration, Fault, HostTime, Input, LaneId, Message, MessageKind, Moment, Party, Position,
        Published, Response, Slot, Status, StatusCode,
    },
    policy::{Mode, Policy},
};
use countermand_fuzz::{
    account::{Counted, live},
    picture,
    policy::tight_limits,
    world::{BASE, id_in},
};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Bytes that an engine may take for each byte of a snapshot: a call is some bytes there and some hundred here.
const BLOW_UP: usize = 400;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    let mut policy = Policy::default();
    policy.settings.mode = Mode::Auto;
    policy.settings.limits = tight_limits();
    policy.settings.limits.names = 1_000;
    let before = live();
    let mut engine = Engine::new(policy.clone());
    let lane = engine.lane("envelopes", 0);
    let mut slots = Vec::new();
    if kind % 4 == 3 {
        several(&mut engine, rest, &mut slots);
    } else {
        restore(&mut engine, kind, rest, &mut slots);
    }
    slots.sort_unstable();
    slots.dedup();
    let taken = live() - before;
    let most = 200_000 + data.len() * BLOW_UP;
    assert!(taken <= most.cast_signed(), "{} bytes of a snapshot take {taken}", data.len());
    live_on(&mut engine, lane, &slots);
    again(&policy, &engine, &slots);
});

fn several(engine: &mut Engine, mut rest: &[u8], slots: &mut Vec<Slot>) {
    while let [kind, high, low, bytes @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(bytes.len());
        restore(engine, *kind, &bytes[..length], slots);
        rest = &bytes[length..];
    }
}

fn restore(engine: &mut Engine, kind: u8, bytes: &[u8], slots: &mut Vec<Slot>) {
    match kind % 4 {
        0 => slots.extend(engine.restore_chain(bytes)),
        1 => drop(engine.restore_engine(bytes)),
        _ => drop(engine.restore_closed(bytes)),
    }
}

/// Whatever it was taken for, it can be looked at, told more, and lived with.
fn live_on(engine: &mut Engine, lane: LaneId, slots: &[Slot]) {
    let ids: Vec<String> =
        slots.iter().filter_map(|&slot| engine.snapshot_chain(slot)).map(|bytes| id_in(&bytes).to_owned()).collect();
    let look = |engine: &Engine| ids.iter().filter_map(|id| engine.view(id)).for_each(|view| picture::show(&view));
    look(engine);
    let mut offset = 1 << 40;
    for step in 1..=4 {
        let host = HostTime(BASE + step * 900_000);
        let mut actions = Vec::new();
        engine.advance(host, &[lane], &mut actions);
        for id in &ids {
            let moment = Moment { at: host.as_bus(), position: Position { lane, offset } };
            let Some(call) = engine.view(id).and_then(|view| view.calls.first().map(|call| call.call_id.clone()))
            else {
                continue;
            };
            let message = Message { message_id: "", chain_id: id, call_id: &call, kind: answer() };
            engine.apply(&Input::Message(message), moment, host, &mut actions);
            offset += 1;
        }
        for action in &actions {
            if let Action::Command(command) = action {
                let published = Published { chain_id: &command.chain_id, command_id: &command.command_id };
                let moment = Moment { at: host.as_bus(), position: Position { lane, offset } };
                engine.apply(&Input::Published(published), moment, host, &mut Vec::new());
            }
        }
    }
    look(engine);
}

fn answer() -> MessageKind<'static> {
    let status = Status { code: StatusCode::Failed, reason: "NO", message: "", caused_by: "", fault: Fault::Callee };
    MessageKind::Response(Response {
        by: Party::default(),
        status,
        effect: EffectDeclaration::default(),
        payload: None,
    })
}

/// What is saved of it can be read again, and looks the same.
fn again(policy: &Policy, engine: &Engine, slots: &[Slot]) {
    for bytes in slots.iter().filter_map(|&slot| engine.snapshot_chain(slot)) {
        let mut fresh = Engine::new(policy.clone());
        fresh.lane("envelopes", 0);
        fresh.restore_engine(&engine.snapshot_engine()).expect("the engine's own bytes");
        fresh.restore_chain(&bytes).expect("a chain's own bytes");
        let id = id_in(&bytes);
        assert_eq!(fresh.view(id), engine.view(id), "a restored chain looks as it did");
    }
}
