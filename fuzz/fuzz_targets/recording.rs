//! Recordings: any bytes through the reader (plain, gzip, Zstandard), and everything it understands to an engine.

#![no_main]

use std::io::Cursor;

use countermand::{
    model::HostTime,
    policy::{Mode, Policy},
    recording::{Line, Reader},
    wire::WireLimits,
};
use countermand_fuzz::{World, account::Counted, policy::tight_limits};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Lines of one recording at most: some bytes of gzip may say a million empty ones.
const LINES: usize = 2_000;

fuzz_target!(|data: &[u8]| {
    let Ok(reader) = Reader::new("fuzz", Cursor::new(data.to_vec())) else { return };
    let limits = WireLimits::default();
    let mut policy = Policy::default();
    policy.settings.mode = Mode::Auto;
    policy.settings.limits = tight_limits();
    let mut world = World::new(policy, 3);
    let mut chains = Vec::new();
    for line in reader.line_limit(64 << 10).take(LINES) {
        let Ok(Line::Entry(entry)) = line else { continue };
        if let Some(at) = entry.at {
            world.host_at(HostTime(at.0));
            world.pass(0, 0xff);
        }
        let Some(body) = &entry.body else { continue };
        if let Ok(input) = body.input(&limits) {
            world.input(usize::try_from(entry.partition.unwrap_or(0)).unwrap_or(0), 0, &input);
            world.publish();
        }
        if let countermand::recording::Body::Envelope(envelope) = body {
            chains.push(envelope.chain_id.clone());
        }
    }
    chains.truncate(20);
    world.look_at(chains.iter().map(String::as_str));
    world.pass(3_600_000, 0xff);
    world.look_at(chains.iter().map(String::as_str));
    world.restart();
});
