//! The demo's shop over the real broker, while agents are killed and others stand by: at the end every unit of money and
//! stock is accounted for, and no effect was undone under two names.
//!
//! `COUNTERMAND_KILLS=300 cargo test --test rabbitmq shop -- --nocapture` kills that often and prints the tally.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::{Child, Command as Process, Stdio},
    sync::PoisonError,
    time::Duration,
};

use countermand::wire::proto::Command;
use prost::Message as _;
use serde_json::Value;

use crate::{
    agent::Agent,
    broker::{free_port, url},
    bus::{Made, Reader, bind, look, make_queue, pass, until},
    traffic::Random,
    world::{ENGINE, USUAL_NAMES},
};

/// Kills where nothing else is said.
const KILLS: usize = 10;

/// Longest time between two kills: from an agent's very start to well into its work.
const LIFE_MS: u64 = 4_000;

/// Agents on one journal, of which one works.
struct Agents {
    folder: PathBuf,
    ports: [u16; 2],
}

impl Agents {
    fn start(&self, n: usize) -> Agent {
        let file = self.folder.join("countermand.toml");
        let configuration = format!(
            r#"
            {ENGINE}
            [routes]
            allow = ["inventory", "payment", "loyalty", "shipping"]
            [rabbitmq]
            url = "{}"
            queues = ["shop.countermand"]
            "#,
            url()
        );
        std::fs::write(&file, configuration).expect("a configuration file");
        let file = file.display().to_string();
        Agent::spawn(&self.folder, ["a", "b"][n], &["--config", &file], self.ports[n])
    }
}

/// The shop, which waits for the agent and then sells for a while.
fn open(seconds: u64, seed: u64, agent: u16) -> Child {
    let mut shop = Process::new(env!("CARGO_BIN_EXE_countermand"));
    shop.args(["demo", "--format", "json", "--rate", "10", "--bus", url()]);
    shop.args(["--for", &format!("{seconds}s"), "--seed", &seed.to_string()]);
    shop.args(["--agent", &format!("http://127.0.0.1:{agent}")]);
    shop.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the shop")
}

#[test]
fn a_shop_whose_agents_are_killed_is_accounted_for() {
    let _alone = USUAL_NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("COUNTERMAND_SEED").unwrap_or(20_261_127);
    let kills = number("COUNTERMAND_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap_or(KILLS));
    println!("seed {seed} (COUNTERMAND_SEED), {kills} kills (COUNTERMAND_KILLS)");
    let mut random = Random::new(seed);
    let lives: Vec<u64> = (0..kills).map(|_| random.below(LIFE_MS)).collect();
    let name = format!("shop-{}", std::process::id());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rabbitmq-{name}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    // A copy of all commands, for the test to look at.
    let copy = format!("{name}.commands");
    make_queue(&copy, Made::Quorum);
    bind(&copy, "countermand", "commands.#");
    let agents = Agents { folder, ports: [free_port(), free_port()] };
    let mut shop = open(lives.iter().sum::<u64>() / 1000 + 15, seed, agents.ports[0]);
    until("the shop's queues", || {
        assert!(shop.try_wait().expect("a child").is_none(), "the shop ended");
        look("shop.told.chains").filter(|(_, consumers)| *consumers == 1)
    });
    let mut living = vec![agents.start(0).ready()];
    let mut takeovers = 0;
    for (n, life) in lives.iter().enumerate() {
        pass(Duration::from_millis(*life));
        // In the second half a second agent stands by, and each death of the one that works is a takeover.
        if n >= kills / 2 && living.len() == 1 {
            living.push(agents.start(1));
        }
        let is_standby = |agent: &Agent| agent.get("/readyz").is_some_and(|(_, body)| body.contains("standing by"));
        let victim = if living.len() == 2 { usize::from(random.below(2) == 1) } else { 0 };
        takeovers += usize::from(living.len() == 2 && !is_standby(&living[victim]));
        living[victim].kill();
        living[victim] = agents.start(victim);
    }
    let ended = shop.wait_with_output().expect("the shop ends");
    let accounts: Value = serde_json::from_slice(&ended.stdout).expect("the shop's accounts");
    assert_eq!((ended.status.code(), &accounts["accounted_for"]), (Some(0), &true.into()), "{accounts}");
    for agent in living {
        assert!(agent.terminate().success());
    }
    let run = format!("order-{}-", accounts["run"].as_str().expect("a run"));
    let commands = Reader::new(&[&copy]).rest().into_iter();
    let commands = commands.map(|got| Command::decode(&*got.payload).expect("a command"));
    let commands: Vec<Command> = commands.filter(|command| command.chain_id.starts_with(&run)).collect();
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
    println!(
        "{} kills ({takeovers} takeovers), {} orders: {} placed, {} failed, {} answered too late; {} failed chains, {} \
         commands, {} of them published more than once under their ids; every unit of money and stock accounted for",
        kills,
        accounts["orders"],
        accounts["placed"],
        accounts["failed"],
        accounts["too_late"],
        accounts["failed_chains"],
        ids.len(),
        commands.len() - ids.len(),
    );
}
