//! Decode, and decode with the engine to verdict, with few and many chains open (`docs/benchmarks.md`).
//!
//! `cargo bench --no-default-features --bench engine [-- CHAINS...]`, by default with 10,000, 100,000 and 1,000,000 chains
//! open. One thread. Time is the processor's, as the kernel accounts it for this thread; each pass over a block of messages
//! is timed for both in turn, so that ratios are of one run. Messages are made outside the timed passes.

use std::{alloc::System, fs, hint::black_box};

use countermand::{
    bench::Rng,
    engine::{Engine, Report},
    model::{Action, BusTime, HostTime, Input, LaneId, Moment, Position},
    policy::Policy,
    wire::{self, WireLimits, proto},
};
use prost::Message as _;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The tree of profile `standard`: who is inside whom.
const PARENTS: [Option<usize>; 8] = [None, Some(0), Some(1), Some(2), Some(2), Some(1), Some(0), Some(6)];
/// Messages of a chain: eight requests, then their answers from the inside out.
const MESSAGES: usize = 16;
const ENVELOPE_BYTES: usize = 490;
/// Messages in a block, and blocks that are timed.
const BLOCK: usize = 50_000;
const BLOCKS: usize = 30;
/// Messages of one millisecond of bus time: some 57 chains a millisecond, as 10,000 chains of 176 ms on average make.
const PER_MS: u64 = 900;

/// One encoded message with room for its ids, which all have 36 bytes.
struct Template {
    bytes: Vec<u8>,
    places: Vec<(usize, IdOf)>,
}

#[derive(Clone, Copy)]
enum IdOf {
    Chain,
    Call(usize),
    Message,
}

/// Ids of 36 bytes, in the form of UUIDs, made from numbers.
fn id(of: IdOf, chain: u64, message: usize) -> String {
    let (kind, n) = match of {
        IdOf::Chain => (1, 0),
        IdOf::Call(call) => (2, call),
        IdOf::Message => (3, message),
    };
    let mut rng = Rng::new(chain.wrapping_mul(64).wrapping_add((kind * 20 + n) as u64));
    rng.uuid()
}

fn template(message: usize, effect: bool, fails: bool, payload: Option<usize>) -> Template {
    let response = message >= 8;
    let call = if response { 15 - message } else { message };
    let party = |n: usize| {
        Some(proto::Party { service: format!("service-{n}"), version: "1.4.2".to_owned(), ..Default::default() })
    };
    let parent = PARENTS[call].filter(|_| !response);
    let mut envelope = proto::Envelope {
        chain_id: id(IdOf::Chain, 0, 0),
        call_id: id(IdOf::Call(call), 0, 0),
        message_id: id(IdOf::Message, 0, message),
        parent_call_id: parent.map(|parent| id(IdOf::Call(parent), 0, 0)).unwrap_or_default(),
        kind: if response { proto::Kind::Response } else { proto::Kind::Request }.into(),
        source: party(call + usize::from(response)),
        destination: party(call + usize::from(!response)),
        operation: format!("Operation{call}"),
        timeout: (!response).then_some(proto::Duration { seconds: 3_600, nanos: 0 }),
        ..Default::default()
    };
    if response {
        let (code, reason) = if fails { (proto::StatusCode::Failed, "REFUSED") } else { (proto::StatusCode::Ok, "") };
        envelope.status = Some(proto::Status { code: code.into(), reason: reason.to_owned(), ..Default::default() });
    } else if effect {
        let compensation = proto::Compensation { operation: format!("UndoOperation{call}"), ..Default::default() };
        envelope.effect = Some(proto::Effect { compensation: Some(compensation), ..Default::default() });
    }
    if let Some(size) = payload {
        let room = size.saturating_sub(envelope.encoded_len() + 25);
        envelope.payload = Some(proto::Any { type_url: "bench/Payload".to_owned(), value: vec![0; room].into() });
    }
    let bytes = envelope.encode_to_vec();
    let mut places = Vec::new();
    let mut ids = vec![IdOf::Chain, IdOf::Call(call), IdOf::Message];
    ids.extend(parent.map(IdOf::Call));
    for of in ids {
        let text = id(of, 0, message);
        let place = bytes.windows(36).position(|window| window == text.as_bytes()).expect("the id is in its envelope");
        places.push((place, of));
    }
    Template { bytes, places }
}

/// Chains that are open, each with its next message.
struct Pool {
    templates: Vec<Template>,
    /// Number and next message of each active chain.
    active: Vec<(u64, usize)>,
    next_chain: u64,
    rng: Rng,
}

impl Pool {
    fn new(active: u64, payload: Option<usize>) -> Self {
        let mut templates = Vec::new();
        for variant in 0..4 {
            templates.extend((0..MESSAGES).map(|n| template(n, variant & 1 > 0, variant & 2 > 0, payload)));
        }
        Self { templates, active: (0..active).map(|n| (n, 0)).collect(), next_chain: active, rng: Rng::new(1) }
    }

    fn encode(&self, chain: u64, message: usize) -> Vec<u8> {
        // 1 % of chains fail: the call 3 and those that it is inside; a fifth of the calls below the root has an effect.
        let call = if message >= 8 { 15 - message } else { message };
        let fails = chain % 100 == 7 && matches!(call, 0..=3);
        let effect = call > 0 && (chain + call as u64).is_multiple_of(5);
        let template = &self.templates[(usize::from(effect) + 2 * usize::from(fails)) * MESSAGES + message];
        let mut bytes = template.bytes.clone();
        for &(place, of) in &template.places {
            bytes[place..place + 36].copy_from_slice(id(of, chain, message).as_bytes());
        }
        bytes
    }

    /// The next message of a chain that is chosen at random; a chain that has had all makes room for a new one.
    fn next(&mut self) -> Vec<u8> {
        let slot = usize::try_from(self.rng.below(self.active.len() as u64)).expect("an index");
        let (chain, message) = self.active[slot];
        let bytes = self.encode(chain, message);
        self.active[slot].1 += 1;
        if message + 1 == MESSAGES {
            self.active[slot] = (self.next_chain, 0);
            self.next_chain += 1;
        }
        bytes
    }
}

struct Feeder {
    engine: Engine,
    lane: LaneId,
    offset: u64,
    limits: WireLimits,
    actions: Vec<Action>,
}

impl Feeder {
    fn new() -> Self {
        let mut policy = Policy::default();
        policy.settings.limits.memory = 16 << 30;
        policy.settings.limits.closed_chains = 10_000_000;
        let mut engine = Engine::new(policy);
        engine.set_report(Report::Notable { sample: 100 });
        let lane = engine.lane("envelopes", 0);
        Self { engine, lane, offset: 0, limits: WireLimits::default(), actions: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let envelope = wire::decode_envelope(bytes, &self.limits).expect("a valid envelope");
        let message = wire::message(&envelope, &self.limits).expect("a valid message");
        let at = 1_767_225_600_000 + i64::try_from(self.offset / PER_MS).expect("a time");
        let moment = Moment { at: BusTime(at), position: Position { lane: self.lane, offset: self.offset } };
        self.engine.apply(&Input::Message(message), moment, HostTime(at), &mut self.actions);
        self.actions.clear();
        self.offset += 1;
    }

    fn decode(&self, bytes: &[u8]) -> usize {
        let envelope = wire::decode_envelope(bytes, &self.limits).expect("a valid envelope");
        let message = wire::message(&envelope, &self.limits).expect("a valid message");
        message.chain_id.len()
    }
}

/// Nanoseconds that this thread has run.
fn cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux accounts for its threads");
    text.split(' ').next().and_then(|field| field.parse().ok()).expect("run time in nanoseconds")
}

struct Row {
    what: String,
    decode: f64,
    engine: f64,
}

/// Times traffic on `active` chains with `hung` others open beside them.
fn measure(what: String, active: u64, hung: u64) -> Row {
    let mut feeder = Feeder::new();
    let mut pool = Pool::new(active, Some(ENVELOPE_BYTES));
    for chain in 0..hung {
        for message in 0..8 {
            feeder.feed(&pool.encode(1 << 40 | chain, message));
        }
    }
    // Every active chain somewhere in its life, as it would be met.
    for slot in 0..pool.active.len() {
        let (chain, _) = pool.active[slot];
        let upto = usize::try_from(pool.rng.below(MESSAGES as u64)).expect("an index");
        for message in 0..upto {
            feeder.feed(&pool.encode(chain, message));
        }
        pool.active[slot].1 = upto;
    }
    let (mut decoding, mut deciding) = (0, 0);
    for _ in 0..BLOCKS {
        let block: Vec<Vec<u8>> = (0..BLOCK).map(|_| pool.next()).collect();
        let begun = cpu();
        block.iter().for_each(|bytes| {
            black_box(feeder.decode(bytes));
        });
        let between = cpu();
        block.iter().for_each(|bytes| feeder.feed(bytes));
        decoding += between - begun;
        deciding += cpu() - between;
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = |nanos: u64| (BLOCK * BLOCKS) as f64 / (nanos as f64 / 1e9);
    Row { what, decode: rate(decoding), engine: rate(deciding) }
}

/// Bytes that one open chain of 8 calls takes: as allocated, by the engine's own account, and of resident memory.
fn weigh(chains: u64, payload: Option<usize>) -> (u64, u64, u64) {
    let mut feeder = Feeder::new();
    let pool = Pool::new(0, payload);
    let (resident, region) = (resident_bytes(), Region::new(ALLOCATOR));
    for chain in 0..chains {
        for message in 0..8 {
            feeder.feed(&pool.encode(chain, message));
        }
    }
    let change = region.change();
    let allocated = (change.bytes_allocated as u64).saturating_sub(change.bytes_deallocated as u64);
    let account = feeder.engine.memory() as u64;
    (allocated / chains, account / chains, resident_bytes().saturating_sub(resident) / chains)
}

fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").expect("Linux accounts for its processes");
    text.split(' ').nth(1).and_then(|field| field.parse::<u64>().ok()).expect("resident pages") * 4096
}

fn main() {
    let wanted: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let wanted = if wanted.is_empty() { vec![10_000, 100_000, 1_000_000] } else { wanted };
    println!("bytes an open chain of 8 calls   allocated  own account  resident");
    for (what, payload) in [("without payloads", None), ("1 KB payloads", Some(1_024 + 340))] {
        let (allocated, account, resident) = weigh(100_000, payload);
        println!("  {what:<30} {allocated:>9}  {account:>11}  {resident:>8}");
    }
    println!("  goal: 1,536 allocated without payloads\n");
    println!("messages a CPU-second, one thread     decode   decode+engine   ratio   slower than the first");
    let mut first: Option<f64> = None;
    for &open in &wanted {
        for (pattern, active) in [("hung", open.min(10_000)), ("uniform", open)] {
            if pattern == "uniform" && open <= 10_000 {
                continue;
            }
            let row = measure(format!("{open} open, {pattern}"), active, open - active);
            let base = *first.get_or_insert(row.engine / row.decode);
            println!(
                "  {:<30} {:>11.0} {:>15.0} {:>7.2} {:>10.2}x",
                row.what,
                row.decode,
                row.engine,
                row.engine / row.decode,
                base / (row.engine / row.decode)
            );
        }
    }
    println!("  goals: ratio 0.50; at 1,000,000 open 1.20x (hung) and 1.80x (uniform)");
}
