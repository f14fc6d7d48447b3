//! An agent that believes only what is signed (S8.1): whatever is forged, unsigned, re-keyed or replayed changes nothing,
//! and is counted and kept with its reason.

#![cfg(feature = "agent")]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countermand::{
    agent::{
        Desk as _, Shared,
        desk::of_engine,
        local::{
            Config, Worker,
            embedded::{EmbeddedBus, EmbeddedDesk},
        },
    },
    audit::Log,
    bus::{
        Outgoing,
        embedded::{Embedded, Reader},
        layout::{Layout, Topics},
        partitioner::partition_of,
    },
    journal::local::Durability,
    model::{BusTime, HostTime, Span},
    participant::{CommandGate, Signing},
    policy::{
        Mode, Pattern, Policy,
        load::{Algorithm, KeyConfig, Owner, Proof, Secret, SecretText, SignConfig, TrustConfig},
    },
    trust::{Distrust, HEADER, Kind, Signer, Trust},
    wire::{
        WireLimits,
        proto::{
            self, Any, ChainEvent, ChainEventKind, Command, CommandResult, Compensation, Effect, Envelope, Operation,
            Party, ResultState, Status, StatusCode, Timestamp, Verb,
        },
    },
};
use prost::Message;

/// Partitions of the bus: each has its engine.
const PARTITIONS: i32 = 2;

/// How long the engines remember.
const MAX_AGE: Span = Span::mins(1);

/// The secret of a key: its id, over and over.
fn secret(id: &str) -> String {
    id.repeat(1 + 32 / id.len())
}

fn signer(id: &str) -> Signer {
    Signer::hmac(id, secret(id).as_bytes()).expect("a key")
}

const AGENT_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxXl7MmkZcDusAxrsf2A=";

fn trust() -> Trust {
    let key = |id: &str, owner, not_after| KeyConfig {
        id: id.to_owned(),
        owner,
        proof: Proof::Hmac(Secret::Env(id.to_owned())),
        not_before: None,
        not_after,
    };
    let service = |name: &str| Owner::Service(name.to_owned());
    let mut keys: Vec<KeyConfig> = ["gateway", "order", "stock", "payment"]
        .into_iter()
        .flat_map(|name| [format!("{name}-1"), format!("{name}-2")].map(|id| key(&id, service(name), None)))
        .collect();
    keys.push(key("order-0", service("order"), Some(BusTime(1_000))));
    keys.push(key("ann", Owner::Operator(Some("ann".into())), None));
    let all = || vec![Pattern::new("*").expect("a pattern")];
    let config = TrustConfig {
        keys,
        require_signature: all(),
        exempt: Vec::new(),
        require_result_signature: all(),
        require_operation_signature: true,
        sign: SignConfig {
            key: "agent".into(),
            algorithm: Algorithm::Ed25519,
            secret: Some(Secret::Env("agent".into())),
        },
    };
    let fetch = |place: &Secret| match place {
        Secret::Env(name) if name == "agent" => Ok(SecretText::of(AGENT_SEED).expect("a seed")),
        Secret::Env(name) => Ok(SecretText::of(&secret(name)).expect("a secret")),
        Secret::Path(path) => Err(format!("there is no file {path}")),
    };
    Trust::new(&config, MAX_AGE, fetch).expect("good keys").keyed()
}

fn config(folder: &Path) -> Config {
    let topics = Topics::under("");
    let mut policy = Policy::default();
    policy.settings.mode = Mode::Auto;
    policy.settings.max_age = MAX_AGE;
    policy.settings.late_window = Span::mins(2);
    policy.settings.linger = Span::secs(5);
    Config {
        layout: Layout::new(["in"], &topics, PARTITIONS),
        topics,
        policy,
        limits: WireLimits::default(),
        trust: Arc::new(trust()),
        journal: folder.join("journal"),
        durability: Durability::Process,
        largest: 1 << 20,
        snapshot_after: Span::secs(5),
        share: None,
        align_wait: Span::millis(200),
        commit_within: Span::millis(10),
        audit: Arc::new(Log::new(folder.join("audit.jsonl"))),
    }
}

/// What the agent published beside dead letters, each as its topic and its bytes.
type Told = BTreeSet<(String, Vec<u8>)>;

/// Reason and origin of each dead letter.
type Letters = Vec<(String, String)>;

struct World {
    bus: Embedded,
    config: Config,
    worker: Option<Worker<EmbeddedBus>>,
    shared: Arc<Shared>,
    ear: Reader,
    now: HostTime,
    told: Told,
    events: Vec<ChainEvent>,
    /// Commands for the service `stock`, with their signatures.
    commands: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    dead: Letters,
    /// All that was published by others.
    said: Vec<Outgoing>,
}

impl World {
    fn new(folder: &Path, begin: HostTime) -> Self {
        let bus = Embedded::new(PARTITIONS);
        let config = config(folder);
        let heard = ["events", "chains", "dead-letters", "commands.stock", "commands.order", "commands.payment"];
        heard.into_iter().chain(["in", "results", "operations"]).for_each(|topic| bus.make(topic));
        let ear = bus.reader("ear", &heard);
        let mut world = Self {
            bus,
            config,
            worker: None,
            shared: Arc::default(),
            ear,
            now: begin,
            told: Told::new(),
            events: Vec::new(),
            commands: Vec::new(),
            dead: Vec::new(),
            said: Vec::new(),
        };
        world.start();
        world
    }

    /// Starts the agent, anew if it was there.
    fn start(&mut self) {
        self.worker = None;
        let bus = EmbeddedBus::new(&self.bus, &self.config.layout, &self.config.topics);
        let worker = Worker::new(self.config.clone(), bus, self.shared.clone(), None, self.now);
        self.worker = Some(worker.map_err(|(error, _)| error).expect("a journal"));
    }

    /// Lets time pass, and hears what is told meanwhile.
    fn pass(&mut self, span: Span) {
        let until = self.now.plus(span);
        while self.now < until {
            self.now = self.now.plus(Span::millis(100));
            self.worker.as_mut().expect("an agent").turn(self.now, Duration::ZERO).expect("a turn");
            for record in self.ear.take(10_000) {
                let payload = record.payload.clone().unwrap_or_default().to_vec();
                let header = |name: &str| record.header(name).map(<[u8]>::to_vec);
                let text = |name: &str| String::from_utf8(header(name).unwrap_or_default()).expect("UTF-8");
                match &*record.topic {
                    "dead-letters" => {
                        self.dead.push((text("countermand-reason"), text("countermand-origin")));
                        continue;
                    }
                    "events" => self.events.push(ChainEvent::decode(&*payload).expect("an event")),
                    "commands.stock" => self.commands.push((payload.clone(), header(HEADER))),
                    _ => {}
                }
                self.told.insert((record.topic.to_string(), payload));
            }
        }
    }

    fn put(&mut self, record: Outgoing) {
        self.said.push(record.clone());
        assert_eq!(self.bus.publish([record], self.now), 0);
    }

    /// The time as a service says it.
    fn sent(&self) -> Option<Timestamp> {
        Some(at(self.now))
    }

    /// Publishes an envelope as its source does.
    fn say(&mut self, envelope: Envelope) {
        let envelope = Envelope { sent_at: self.sent(), ..envelope };
        let key = format!("{}-1", envelope.source.as_ref().expect("a source").service);
        let signed = Signing::with(signer(&key)).envelope(&envelope);
        let (name, value) = signed.header;
        let headers = vec![(name.to_owned(), Some(value.into_bytes()))];
        self.put(Outgoing { headers, ..Outgoing::keyed("in", &envelope.chain_id, signed.payload) });
    }

    fn kinds(&self, chain: &str) -> Vec<ChainEventKind> {
        self.events.iter().filter(|event| event.chain_id == chain).map(ChainEvent::kind).collect()
    }

    fn state(&self, chain: &str) -> proto::PlanState {
        let states = self.events.iter().rev().filter(|event| event.kind() == ChainEventKind::State);
        states.into_iter().find(|event| event.chain_id == chain).expect("a state").state()
    }
}

fn at(time: HostTime) -> Timestamp {
    Timestamp { seconds: time.0.div_euclid(1_000), nanos: (time.0.rem_euclid(1_000) * 1_000_000) as i32 }
}

fn party(service: &str) -> Option<Party> {
    Some(Party { service: service.into(), ..Party::default() })
}

/// Without one a command would say where the message lies, which attacks move.
fn payload() -> Option<Any> {
    Some(Any { type_url: "a/b".into(), value: vec![1].into() })
}

/// A call of `chain`, made inside of `parent` by `from`.
fn request(chain: &str, call: &str, parent: &str, from: &str, to: &str) -> Envelope {
    let undo = Compensation { operation: "Undo".into(), ..Compensation::default() };
    Envelope {
        message_id: format!("{call}:q"),
        chain_id: chain.into(),
        call_id: call.into(),
        parent_call_id: parent.into(),
        kind: proto::Kind::Request.into(),
        source: party(from),
        destination: party(to),
        operation: "Do".into(),
        payload: payload(),
        timeout: Some(proto::Duration { seconds: 5, nanos: 0 }),
        effect: (to == "stock").then(|| Effect { compensation: Some(undo), ..Effect::default() }),
        ..Envelope::default()
    }
}

fn response(chain: &str, call: &str, from: &str, code: StatusCode) -> Envelope {
    Envelope {
        message_id: format!("{call}:r:{}", code.as_str_name()),
        chain_id: chain.into(),
        call_id: call.into(),
        kind: proto::Kind::Response.into(),
        source: party(from),
        status: Some(Status { code: code.into(), ..Status::default() }),
        payload: payload(),
        ..Envelope::default()
    }
}

/// The beginning of a chain: stock is reserved.
fn begin(world: &mut World, chain: &str) {
    world.say(request(chain, "place", "", "gateway", "order"));
    world.say(request(chain, "reserve", "place", "order", "stock"));
    world.say(response(chain, "reserve", "stock", StatusCode::Ok));
    world.pass(Span::millis(300));
}

/// The end of one that fails: what was reserved is to be released.
fn fail(world: &mut World, chain: &str) {
    world.say(request(chain, "charge", "place", "order", "payment"));
    world.say(response(chain, "charge", "payment", StatusCode::Failed));
    world.say(response(chain, "place", "order", StatusCode::Failed));
    world.pass(Span::secs(1));
}

/// A record that bears this signature, if any.
fn record(topic: &str, key: &str, payload: Vec<u8>, signature: Option<String>) -> Outgoing {
    let headers = signature.into_iter().map(|value| (HEADER.to_owned(), Some(value.into_bytes()))).collect();
    Outgoing { headers, ..Outgoing::keyed(topic, key, payload) }
}

/// What somebody puts onto the bus who may write there and has no key, or one that is not the right one.
fn attack_envelopes(world: &mut World, chain: &str) -> Vec<Distrust> {
    use Distrust::{ExpiredKey, Forged, Misplaced, Stale, UnknownKey, Unsigned, WrongSigner};
    let evil = Envelope { sent_at: world.sent(), ..response(chain, "place", "order", StatusCode::Failed) };
    let other = response(chain, "place", "order", StatusCode::Ok).encode_to_vec();
    let signed = |envelope: &Envelope, id: &str| {
        let payload = envelope.encode_to_vec();
        let signature = signer(id).sign(Kind::Envelope, &payload);
        record("in", chain, payload, Some(signature))
    };
    let with = |signature: Option<String>| record("in", chain, evil.encode_to_vec(), signature);
    let home = partition_of(chain.as_bytes(), PARTITIONS);
    let nobody = Envelope { source: None, ..evil.clone() };
    let old = Envelope { sent_at: Some(at(world.now.minus(MAX_AGE).minus(Span::secs(1)))), ..evil.clone() };
    let early = Envelope { sent_at: Some(at(world.now.plus(Span::mins(10)))), ..evil.clone() };
    let undated = Envelope { sent_at: None, ..evil.clone() };
    let attacks = [
        (with(None), Unsigned),
        (with(Some(signer("order-1").sign(Kind::Envelope, &other))), Forged),
        (with(Some(signer("order-1").sign(Kind::Result, &evil.encode_to_vec()))), Forged),
        (with(Some("v1;key=order-1;sig=".into())), Forged),
        (with(Some(signer("order-1").sign(Kind::Envelope, &evil.encode_to_vec()).replace("v1", "v2"))), Forged),
        (signed(&evil, "stock-1"), WrongSigner),
        (signed(&evil, "ann"), WrongSigner),
        (signed(&evil, "agent"), WrongSigner),
        (signed(&evil, "order-3"), UnknownKey),
        (signed(&evil, "order-0"), ExpiredKey),
        (record("in", chain, nobody.encode_to_vec(), None), Unsigned),
        (signed(&nobody, "order-1"), WrongSigner),
        (signed(&old, "order-1"), Stale),
        (signed(&early, "order-1"), Stale),
        (signed(&undated, "order-1"), Stale),
        (Outgoing { key: Some(b"another".to_vec()), partition: Some(home), ..signed(&evil, "order-1") }, Misplaced),
        (Outgoing { key: None, partition: Some(home), ..signed(&evil, "order-1") }, Misplaced),
        (Outgoing { partition: Some(1 - home), ..signed(&evil, "order-1") }, Misplaced),
    ];
    put_all(world, attacks)
}

fn attack_results(world: &mut World, command: &Command) -> Vec<Distrust> {
    use Distrust::{Forged, Misplaced, UnknownKey, Unsigned, WrongSigner};
    let evil = result(command, ResultState::Done);
    let failed = CommandResult { by: None, ..result(command, ResultState::Failed) };
    let payload = evil.encode_to_vec();
    let signed = |result: &CommandResult, id: &str| {
        let payload = result.encode_to_vec();
        let signature = signer(id).sign(Kind::Result, &payload);
        record("results", &command.chain_id, payload, Some(signature))
    };
    let with = |signature: Option<String>| record("results", &command.chain_id, payload.clone(), signature);
    let home = partition_of(command.chain_id.as_bytes(), PARTITIONS);
    // It says that it is from `payment`, whose key it bears, and answers a command for `stock`.
    let posing = CommandResult { by: party("payment"), ..evil.clone() };
    let attacks = [
        (with(None), Unsigned),
        (record("results", &command.chain_id, failed.encode_to_vec(), None), Unsigned),
        (with(Some(signer("stock-1").sign(Kind::Result, &failed.encode_to_vec()))), Forged),
        (with(Some(signer("stock-1").sign(Kind::Envelope, &payload))), Forged),
        (signed(&evil, "payment-1"), WrongSigner),
        (signed(&posing, "payment-1"), WrongSigner),
        (signed(&evil, "stock-3"), UnknownKey),
        (Outgoing { key: Some(b"another".to_vec()), partition: Some(home), ..signed(&evil, "stock-1") }, Misplaced),
    ];
    put_all(world, attacks)
}

fn attack_operations(world: &mut World, chain: &str) -> Vec<Distrust> {
    use Distrust::{Forged, Misplaced, Unnamed, Unsigned, WrongSigner};
    let give_up = operation("evil", chain, Verb::GiveUp, "ann");
    let signed = |operation: &Operation, id: &str, partition: Option<i32>| {
        let payload = operation.encode_to_vec();
        let signature = signer(id).sign(Kind::Operation, &payload);
        Outgoing { partition, ..record("operations", &operation.chain_id, payload, Some(signature)) }
    };
    let with = |signature: Option<String>| record("operations", chain, give_up.encode_to_vec(), signature);
    let pause = |engine: i32| operation(&of_engine("evil", engine), "", Verb::Pause, "ann");
    let unsigned = |operation: &Operation, partition: Option<i32>| Outgoing {
        partition,
        ..record("operations", &operation.chain_id, operation.encode_to_vec(), None)
    };
    let home = partition_of(chain.as_bytes(), PARTITIONS);
    let bob = operation("evil", chain, Verb::GiveUp, "bob");
    let attacks = [
        (with(None), Unsigned),
        (unsigned(&pause(0), Some(0)), Unsigned),
        (unsigned(&pause(1), Some(1)), Unsigned),
        (with(Some(signer("ann").sign(Kind::Operation, b"something else"))), Forged),
        (signed(&bob, "ann", None), WrongSigner),
        (signed(&give_up, "stock-1", None), WrongSigner),
        (signed(&operation("", chain, Verb::GiveUp, "ann"), "ann", None), Unnamed),
        // What was asked of one engine is copied to the other.
        (signed(&pause(0), "ann", Some(1)), Misplaced),
        (signed(&pause(1), "ann", Some(0)), Misplaced),
        (signed(&operation("pause", "", Verb::Pause, "ann"), "ann", Some(0)), Misplaced),
        (Outgoing { key: Some(b"another".to_vec()), ..signed(&give_up, "ann", Some(home)) }, Misplaced),
    ];
    put_all(world, attacks)
}

/// Puts all onto the bus, one after the other, so that the dead letters come in their order.
fn put_all<const N: usize>(world: &mut World, attacks: [(Outgoing, Distrust); N]) -> Vec<Distrust> {
    let put = |(attack, why): (Outgoing, Distrust)| {
        assert_eq!(world.bus.publish([attack], world.now), 0);
        world.pass(Span::millis(100));
        why
    };
    attacks.into_iter().map(put).collect()
}

fn result(command: &Command, state: ResultState) -> CommandResult {
    CommandResult {
        command_id: command.command_id.clone(),
        chain_id: command.chain_id.clone(),
        state: state.into(),
        by: party("stock"),
        ..CommandResult::default()
    }
}

fn operation(id: &str, chain: &str, verb: Verb, by: &str) -> Operation {
    Operation {
        operation_id: id.into(),
        chain_id: chain.into(),
        verb: verb.into(),
        by: by.into(),
        reason: "a test".into(),
        ..Operation::default()
    }
}

/// The newest command for `stock`, as it takes it: it believes the agent alone.
fn command(world: &World) -> Command {
    let (payload, signature) = world.commands.last().expect("a command");
    let agent = Signer::ed25519("agent", AGENT_SEED).expect("a key");
    let gate = CommandGate::strict().key("agent", agent.check());
    assert!(gate.open(payload, None, &WireLimits::default()).is_err());
    gate.open(payload, signature.as_deref(), &WireLimits::default()).expect("the agent signs its commands")
}

/// The service `stock` answers, signed by its second key.
fn answer(world: &mut World, command: &Command) {
    let signed = Signing::with(signer("stock-2")).result(&result(command, ResultState::Done));
    world.put(record("results", &command.chain_id, signed.payload, Some(signed.header.1)));
    world.pass(Span::secs(1));
}

/// One chain that succeeds and one that fails and is undone; with attacks in every place where they might change something.
fn lived(begin_at: HostTime, attacked: bool) -> (Told, Letters, Vec<Distrust>, Arc<Shared>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(folder.path(), begin_at);
    let mut expected = Vec::new();
    // The same time passes where nobody attacks.
    let mut meanwhile = |world: &mut World, attack: &dyn Fn(&mut World) -> Vec<Distrust>, count: u64| {
        if attacked {
            let whys = attack(world);
            assert_eq!(whys.len() as u64, count, "as much time passes in both");
            expected.extend(whys);
        } else {
            world.pass(Span::millis(100 * count));
        }
    };
    begin(&mut world, "good");
    meanwhile(&mut world, &|world| attack_envelopes(world, "good"), 18);
    world.say(response("good", "place", "order", StatusCode::Ok));
    world.pass(Span::secs(1));
    begin(&mut world, "bad");
    fail(&mut world, "bad");
    let command = command(&world);
    assert_eq!((command.chain_id.as_str(), command.call_id.as_str()), ("bad", "reserve"));
    meanwhile(&mut world, &|world| attack_results(world, &command), 8);
    meanwhile(&mut world, &|world| attack_operations(world, "bad"), 11);
    assert_eq!(world.state("bad"), proto::PlanState::Compensating);
    answer(&mut world, &command);
    assert_eq!(world.state("bad"), proto::PlanState::Compensated);
    world.pass(Span::secs(10));
    assert_eq!(world.kinds("good"), [], "a good chain is nothing to tell of");
    assert_eq!(world.commands.len(), 1);
    (world.told, world.dead, expected, world.shared)
}

fn decoded(topic: &str, bytes: &[u8]) -> String {
    match topic {
        "events" => format!("{:?}", ChainEvent::decode(bytes)),
        "chains" => format!("{:?}", proto::ChainRecord::decode(bytes)),
        _ => format!("{:?}", Command::decode(bytes)),
    }
}

fn host_now() -> HostTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    HostTime(i64::try_from(since.as_millis()).expect("a date"))
}

#[test]
fn what_is_forged_unsigned_or_rekeyed_changes_nothing_and_is_kept_with_its_reason() {
    let begin_at = host_now();
    let (calm, no_letters, _, _) = lived(begin_at, false);
    assert_eq!(no_letters, []);
    let (told, dead, expected, shared) = lived(begin_at, true);
    let more: Vec<_> = told.symmetric_difference(&calm).map(|(topic, bytes)| (topic, decoded(topic, bytes))).collect();
    assert_eq!(more, [], "every byte that is told is the same");
    let reasons: Vec<&str> = dead.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, expected.iter().map(|why| why.word()).collect::<Vec<_>>());
    let letters = &shared.metrics.dead_letters;
    for why in Distrust::ALL {
        let times = expected.iter().filter(|it| **it == why).count() as u64;
        assert!(times > 0, "{} is never tried", why.word());
        assert_eq!(letters.get(why.word()), times, "{}", why.word());
    }
    assert_eq!(letters.total(), expected.len() as u64);
    let topic = |origin: &str| origin.split('/').next().unwrap_or_default().to_owned();
    let origins: BTreeSet<String> = dead.iter().map(|(_, origin)| topic(origin)).collect();
    assert_eq!(origins.into_iter().collect::<Vec<_>>(), ["in", "operations", "results"]);
}

#[test]
fn what_is_replayed_changes_nothing_however_late() {
    let folder = tempfile::tempdir().expect("a folder");
    let begun = host_now();
    let mut world = World::new(folder.path(), begun);
    begin(&mut world, "good");
    world.say(response("good", "place", "order", StatusCode::Ok));
    begin(&mut world, "bad");
    // An operator pauses both engines, and lets them go on; the command goes out then.
    let word = |world: &mut World, name: &str, verb: Verb| {
        for engine in 0..PARTITIONS {
            let asked = operation(&of_engine(name, engine), "", verb, "ann");
            let payload = asked.encode_to_vec();
            let signature = signer("ann").sign(Kind::Operation, &payload);
            world.put(Outgoing { partition: Some(engine), ..record("operations", "", payload, Some(signature)) });
        }
        world.pass(Span::millis(200));
    };
    word(&mut world, "pause", Verb::Pause);
    fail(&mut world, "bad");
    assert_eq!(world.commands.len(), 0, "the engines are paused");
    word(&mut world, "resume", Verb::Resume);
    world.pass(Span::secs(2));
    let sent = command(&world);
    answer(&mut world, &sent);
    assert_eq!((world.state("bad"), world.commands.len()), (proto::PlanState::Compensated, 1));
    assert_eq!(world.dead, [], "all of it is believed");

    let said = std::mem::take(&mut world.said);
    let replay = |world: &mut World, stamp: Option<HostTime>| {
        let (events, dead) = (world.events.len(), world.dead.len());
        for record in &said {
            assert_eq!(world.bus.publish([record.clone()], stamp.unwrap_or(world.now)), 0);
            world.pass(Span::millis(100));
        }
        world.pass(Span::secs(10));
        assert_eq!(world.commands.len(), 1, "nothing is sent");
        let news = world.events[events..].iter().map(ChainEvent::kind);
        let news: Vec<_> = news.filter(|kind| *kind != ChainEventKind::Closed).collect();
        let dead: Vec<String> = world.dead[dead..].iter().map(|(reason, _)| reason.clone()).collect();
        (news, dead)
    };
    // At once: each is known. That an answer is ignored is told, and the agent that comes after knows it all, too.
    assert_eq!(replay(&mut world, None), (vec![ChainEventKind::AnswerIgnored], Vec::new()));
    world.start();
    assert_eq!(
        replay(&mut world, None).0,
        [ChainEventKind::IdReused, ChainEventKind::AnswerIgnored],
        "one chain is closed by now"
    );
    // Not even the requests alone, without the answers that would tell that all went well, once the chains are forgotten.
    world.pass(Span::mins(5));
    // Whoever writes them chooses the time on them, too.
    for stamp in [Some(begun), None] {
        let (news, dead) = replay(&mut world, stamp);
        assert_eq!(news, []);
        let envelopes = said.iter().filter(|record| record.topic == "in").count();
        assert_eq!(dead.iter().filter(|reason| *reason == "stale").count(), envelopes, "{dead:?}");
        assert_eq!(dead.len(), envelopes + 1, "and the answer is to a chain that nobody has: {dead:?}");
    }
    // The pause was replayed last of all, and nothing is paused.
    let pauses: Vec<Outgoing> = said.iter().filter(|record| record.topic == "operations").cloned().collect();
    pauses[..2].iter().for_each(|pause| assert_eq!(world.bus.publish([pause.clone()], world.now), 0));
    begin(&mut world, "next");
    fail(&mut world, "next");
    assert_eq!(command(&world).chain_id, "next");
}

#[test]
fn what_the_api_asks_for_is_signed_by_the_agent() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(folder.path(), host_now());
    begin(&mut world, "bad");
    fail(&mut world, "bad");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let ask = |world: &mut World, desk: EmbeddedDesk| {
        runtime.block_on(desk.send(&operation("one", "bad", Verb::GiveUp, "carol"), None)).expect("a topic");
        runtime.block_on(desk.send(&operation("all-1", "", Verb::Pause, "carol"), Some(1))).expect("a topic");
        world.pass(Span::secs(1));
        let operators = world.events.iter().filter(|event| event.kind() == ChainEventKind::Operator);
        operators.map(|event| (event.operation_id.clone(), event.by.clone())).collect::<BTreeSet<_>>()
    };
    let strange = EmbeddedDesk::new(&world.bus, "operations", Arc::default());
    assert_eq!(ask(&mut world, strange), BTreeSet::new());
    assert_eq!(world.shared.metrics.dead_letters.get("unsigned"), 2);
    let own = EmbeddedDesk::new(&world.bus, "operations", world.config.trust.clone());
    let carol = |id: &str| (id.to_owned(), "carol".to_owned());
    assert_eq!(ask(&mut world, own), BTreeSet::from([carol("one"), carol("all-1")]));
    assert_eq!(world.state("bad"), proto::PlanState::Abandoned);
}
