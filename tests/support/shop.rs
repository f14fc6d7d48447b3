//! The demo's shop over a real broker, while agents and the broker are killed: at the end every unit of money and stock is
//! accounted for, and no effect was undone under two names. `scripts/kills N` kills that often and prints the tally.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command as Process, Stdio},
    time::Duration,
};

use countermand::wire::proto::Command;
use serde_json::Value;

use crate::{
    agent::Agent,
    broker::{Broker, free_port},
    bus::{pass, until},
    traffic::Random,
    waiting::until_for,
    world::ENGINE,
};

/// Kills where nothing else is said.
const KILLS: usize = 12;

/// Most kills in the life of one shop. It has to live to count what it sold, and librdkafka may take it down by itself.
const ROUND: usize = 30;

/// Every so many kills it is the broker that is killed.
const BROKER_EVERY: usize = 6;

/// Longest time between two kills: from an agent's very start to well into its work.
const LIFE_MS: u64 = 4_000;

/// What a broker needs to be back, and agents to be at work again. The shop sells meanwhile.
const OUTAGE_MS: u64 = 20_000;

/// Longest wait for the shop to end: longer than it waits itself for what is not settled.
const CLOSING: Duration = Duration::from_secs(400);

/// What differs between buses.
pub struct Scene<'a> {
    /// The broker of this run.
    pub broker: &'static Broker,
    /// Where the shop finds it.
    pub bus: String,
    /// How long what was made on the broker must be there before it outlives a kill.
    pub settles: Duration,
    /// What the agent of a name is told of its bus, beside [`ENGINE`] and the services that commands go to.
    pub configuration: &'a dyn Fn(&str) -> String,
    /// Whether all is there that the first agent is to read.
    pub is_prepared: &'a dyn Fn() -> bool,
    /// Every command of a run of the shop, as often as it is on the bus.
    pub commands: &'a dyn Fn() -> Vec<Command>,
}

/// Where the agents live.
struct Home {
    folder: PathBuf,
    ports: [u16; 2],
}

impl Home {
    fn new() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("shop-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self { folder, ports: [free_port(), free_port()] }
    }

    /// Starts the first or the second agent.
    fn start(&self, n: usize, scene: &Scene<'_>) -> Agent {
        let name = ["a", "b"][n];
        let file = self.folder.join(format!("{name}.toml"));
        let routes = "[routes]\nallow = [\"inventory\", \"payment\", \"loyalty\", \"shipping\"]";
        let configuration = format!("{ENGINE}\n{routes}\n{}", (scene.configuration)(name));
        std::fs::write(&file, configuration).expect("a configuration file");
        Agent::spawn(&self.folder, name, &["--config", &file.display().to_string()], self.ports[n])
    }
}

/// Two agents, of which one lives in the first half and both in the second; each is killed in its turn.
struct Agents<'a> {
    scene: &'a Scene<'a>,
    home: Home,
    living: [Option<Agent>; 2],
    killed: [usize; 2],
    /// Kills of one that worked while another lived, which then took its work over.
    handovers: usize,
    /// Agents that librdkafka took down by itself.
    fallen: usize,
}

impl Agents<'_> {
    fn kill(&mut self, n: usize) {
        let others = self.living[1 - n].is_some();
        if let Some(agent) = &mut self.living[n] {
            let works = agent.get("/readyz").is_some_and(|(status, _)| status == 200);
            self.handovers += usize::from(others && works);
            agent.kill();
            self.killed[n] += 1;
        }
        self.living[n] = Some(self.home.start(n, self.scene));
    }

    /// Starts those again that ended by themselves: librdkafka 2.12.1 has been seen to read out of bounds in its consumer
    /// (`rd_kafka_metadata_update_op`, its issue 5280) when a broker comes back on a busy machine. Whoever runs an agent has
    /// it restarted, and nothing may be lost or doubled by that either. Any other end is a failure.
    fn tend(&mut self) {
        for (n, agent) in self.living.iter_mut().enumerate() {
            let Some(living) = agent else { continue };
            if let Some(ended) = living.has_ended() {
                let log = living.log();
                assert_eq!(ended.signal(), Some(SEGMENTATION_FAULT), "an agent ended by itself: {ended}\n{log}");
                self.fallen += 1;
                *agent = Some(self.home.start(n, self.scene));
            }
        }
    }
}

/// The signal that librdkafka 2.12.1 dies by now and then: see [`Agents::tend`].
const SEGMENTATION_FAULT: i32 = 11;

/// How often a shop may be taken down by librdkafka in a round. Its books are in its memory: what it sold cannot be counted any
/// more.
const FALLS: usize = 4;

/// Sells and kills, and counts afterwards, in rounds of a shop each.
pub fn sell(scene: &Scene<'_>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("COUNTERMAND_SEED").unwrap_or(20_261_127);
    let kills = number("COUNTERMAND_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap_or(KILLS));
    println!("seed {seed} (COUNTERMAND_SEED), {kills} kills (COUNTERMAND_KILLS)");
    let mut tally = Tally::default();
    for (round, seed) in (0..kills.div_ceil(ROUND)).zip(seed..) {
        let kills = ROUND.min(kills - round * ROUND);
        let mut lives = (0..=FALLS).filter_map(|_| {
            let sold = sold(scene, kills, seed);
            if sold.is_none() {
                println!("librdkafka took the shop down; once more");
            }
            sold
        });
        tally.add(&lives.next().expect("a shop that lives to its end"));
        println!("{tally}");
    }
}

/// What was counted.
#[derive(Default)]
struct Tally([u64; 14]);

/// How it is told; a `#` stands for a number.
const TOLD: &str = "# kills: # of the first agent, # of the second, # of the broker; # times another agent took the work over, \
                    # agents fell with librdkafka, # kills after the shop had closed; # orders: # placed, # failed, # answered \
                    too late; # failed chains, # commands, # of them on the bus more than once under their ids; every unit of \
                    money and stock accounted for";

impl Tally {
    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut texts = TOLD.split('#');
        f.write_str(texts.next().unwrap_or_default())?;
        self.0.iter().zip(texts).try_for_each(|(count, text)| write!(f, "{count}{text}"))
    }
}

/// Sells while so many are killed. `None`: the shop did not live to count what it sold.
fn sold(scene: &Scene<'_>, kills: usize, seed: u64) -> Option<Tally> {
    let mut random = Random::new(seed);
    let lives: Vec<u64> = (0..kills).map(|_| random.below(LIFE_MS)).collect();
    let length = lives.iter().sum::<u64>() * 3 / 2 + (kills / BROKER_EVERY) as u64 * OUTAGE_MS + 20_000;
    let length = length + scene.settles.as_millis() as u64;
    let home = Home::new();
    let mut shop = open(scene, &home, length / 1000, seed);
    until("the shop to have all that it needs", || {
        assert!(shop.try_wait().expect("a child").is_none(), "the shop ended");
        (scene.is_prepared)().then_some(())
    });
    let first = home.start(0, scene).ready();
    pass(scene.settles);
    let mut agents = Agents { scene, home, living: [Some(first), None], killed: [0, 0], handovers: 0, fallen: 0 };
    let (mut outages, mut after_closing) = (0_u64, 0_u64);
    for (n, life) in lives.iter().enumerate() {
        pass(Duration::from_millis(*life));
        agents.tend();
        if let Some(ended) = shop.try_wait().expect("a child") {
            if ended.signal() == Some(SEGMENTATION_FAULT) {
                return None;
            }
            after_closing += 1;
        }
        // In the second half two agents live, and every death and birth moves work from one to the other.
        if n >= kills / 2 && agents.living[1].is_none() {
            agents.living[1] = Some(agents.home.start(1, scene));
        }
        if n % BROKER_EVERY == BROKER_EVERY - 1 {
            scene.broker.kill();
            scene.broker.start();
            outages += 1;
        } else {
            agents.kill(usize::from(agents.living[1].is_some() && random.below(2) == 1));
        }
    }
    // It closes now, and waits for what is under way; on a slow machine it may have closed by itself.
    if shop.try_wait().expect("a child").is_none() {
        let closing = Process::new("kill").args(["-TERM", &shop.id().to_string()]).status();
        assert!(closing.expect("kill").success());
    }
    assert!(after_closing * 2 < kills as u64, "{after_closing} of {kills} kills came after the shop had closed");
    until_for(CLOSING, "the shop to end", || {
        agents.tend();
        shop.try_wait().expect("a child")
    });
    let ended = shop.wait_with_output().expect("the shop's words");
    if ended.status.signal() == Some(SEGMENTATION_FAULT) {
        return None;
    }
    let accounts: Value = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| {
        let story = std::fs::read_to_string(story()).unwrap_or_default();
        let last: Vec<&str> = story.lines().rev().take(20).collect();
        panic!("no accounts of the shop; its last words, the last first: {last:#?}")
    });
    assert_eq!((ended.status.code(), &accounts["accounted_for"]), (Some(0), &true.into()), "{accounts}");
    for agent in agents.living.iter_mut().filter_map(Option::take) {
        assert!(agent.settled().terminate().success());
    }
    let run = format!("order-{}-", accounts["run"].as_str().expect("a run"));
    let commands: Vec<Command> =
        (scene.commands)().into_iter().filter(|command| command.chain_id.starts_with(&run)).collect();
    let mut ids: BTreeMap<(String, String, i32), BTreeSet<String>> = BTreeMap::new();
    for command in &commands {
        let about = (command.chain_id.clone(), command.call_id.clone(), command.action);
        ids.entry(about).or_default().insert(command.command_id.clone());
    }
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "effects with two command ids: {twice:?}");
    let again: Vec<_> = commands.iter().filter(|command| command.attempt > 1).collect();
    assert!(again.is_empty(), "commands sent again although they were answered at once: {again:?}");
    assert!(ids.len() as u64 >= accounts["undone"].as_u64().expect("a number"));
    let counted = |name: &str| accounts[name].as_u64().expect("a number");
    Some(Tally([
        kills as u64,
        agents.killed[0] as u64,
        agents.killed[1] as u64,
        outages,
        agents.handovers as u64,
        agents.fallen as u64,
        after_closing,
        counted("orders"),
        counted("placed"),
        counted("failed"),
        counted("too_late"),
        counted("failed_chains"),
        ids.len() as u64,
        (commands.len() - ids.len()) as u64,
    ]))
}

/// Where what the shop tells is kept.
fn story() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("shop-{}.story", std::process::id()))
}

/// The shop, which waits for the first agent and then sells for a while.
fn open(scene: &Scene<'_>, home: &Home, seconds: u64, seed: u64) -> Child {
    let mut shop = Process::new(env!("CARGO_BIN_EXE_countermand"));
    shop.args(["demo", "--format", "json", "--rate", "10", "--bus", &scene.bus]);
    shop.args(["--for", &format!("{seconds}s"), "--seed", &seed.to_string()]);
    shop.args(["--agent", &format!("http://127.0.0.1:{}", home.ports[0])]);
    let story = File::create(story()).expect("a file");
    shop.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(story).spawn().expect("the shop")
}
