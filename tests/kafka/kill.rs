//! `kill -9` under load: the same verdicts and command ids as if nothing had happened. On whatever bus the test program is
//! about; `COUNTERMAND_KILLS` says how often.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use countermand::wire::proto::{Cause, ChainEvent, ChainEventKind, ChainRecord, Command, Outcome, PlanState};
use prost::Message;

use crate::{
    bus::{Reader, pass, until},
    traffic::{Participants, Random, Received, Story, play},
    world::{KILLS, World, sends},
};

/// New chains a second, of six messages each.
const RATE: u64 = 60;
/// How long chains are begun at least.
const LOAD: Duration = Duration::from_secs(45);
/// How long a killed agent may have lived: from its very start to well into its work.
const LIFE_MS: u64 = 4_000;
#[test]
fn kills_change_no_verdict_and_no_command() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("COUNTERMAND_SEED").unwrap_or(20_251_125);
    let wanted = number("COUNTERMAND_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap_or(KILLS));
    println!("seed {seed} (COUNTERMAND_SEED), {wanted} kills (COUNTERMAND_KILLS)");
    let mut random = Random::new(seed);
    let world = World::new("kill");
    let mean = Duration::from_millis(LIFE_MS / 2 + 100);
    let stories = stories(&mut random, LOAD.max(mean * u32::try_from(wanted).unwrap_or(u32::MAX)));
    let participants = Participants::start(&world);
    let mut agent = world.start("a").ready();
    let (mut kills, mut lives) = (0, Vec::new());
    std::thread::scope(|scope| {
        let load = scope.spawn(|| play(&world, &stories, RATE));
        while kills < wanted {
            pass(Duration::from_millis(random.below(LIFE_MS)));
            lives.push(agent.get("/readyz").is_some_and(|(status, _)| status == 200));
            agent.kill();
            kills += 1;
            agent = world.start("a");
        }
        load.join().expect("the load");
    });
    let agent = agent.ready();
    let pictures = pictures(&world, &stories);
    let events = Reader::new(&[&world.topic("events")]).rest();
    let millis = |name: &str, q| agent.quantile(name, q).map_or(f64::NAN, |seconds| seconds * 1e3);
    let latencies = ["commit", "visible", "restore"].map(|what| {
        let name = format!("countermand_{what}_seconds");
        format!("{what} p50 {} p99 {} ms", millis(&name, 0.5), millis(&name, 0.99))
    });
    assert!(agent.terminate().success());
    let received = participants.stop();
    let tally = Tally { kills, ready: lives.iter().filter(|ready| **ready).count(), latencies };
    check(&stories, &pictures, &events, &received, &tally);
}

struct Tally {
    kills: usize,
    ready: usize,
    /// Of the last agent.
    latencies: [String; 3],
}

fn stories(random: &mut Random, load: Duration) -> Vec<(String, Story)> {
    let count = load.as_secs() * RATE;
    let story = |random: &mut Random| match random.below(100) {
        0..70 => Story::Good,
        70..80 => Story::Patient,
        80..90 => Story::Declined,
        90..95 => Story::DeclinedLate,
        _ => Story::Hanging,
    };
    (0..count).map(|n| (format!("{:08x}-{n}", random.below(1 << 32)), story(random))).collect()
}

/// The newest published picture of every chain that fails, once all of them are compensated.
fn pictures(world: &World, stories: &[(String, Story)]) -> BTreeMap<String, ChainRecord> {
    let chains = Reader::new(&[&world.topic("chains")]);
    let mut open: BTreeSet<&str> =
        stories.iter().filter(|(_, story)| story.cause().is_some()).map(|(id, _)| id.as_str()).collect();
    let mut pictures = BTreeMap::new();
    let mut take = |got: crate::bus::Got| {
        let record = ChainRecord::decode(&*got.payload).expect("a chain record");
        if record.state() == PlanState::Compensated {
            open.remove(record.chain_id.as_str());
        }
        pictures.insert(record.chain_id.clone(), record);
        open.len()
    };
    until("all failed chains to be compensated", || {
        // As fast as they come: with many kills there are ten thousands.
        while let Some(got) = chains.next(Duration::from_millis(100)) {
            if take(got) == 0 {
                return Some(());
            }
        }
        None
    });
    for got in chains.rest() {
        take(got);
    }
    pictures
}

fn check(
    stories: &[(String, Story)],
    pictures: &BTreeMap<String, ChainRecord>,
    events: &[crate::bus::Got],
    received: &[Received],
    tally: &Tally,
) {
    let mut decided: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for got in events {
        let event = ChainEvent::decode(&*got.payload).expect("an event");
        if event.kind() == ChainEventKind::Decided && event.outcome() != Outcome::Succeeded {
            assert_eq!((event.outcome(), event.revision), (Outcome::Failed, 1), "{event:?}");
            decided.entry(event.chain_id).or_default().push(event.event_id);
        }
    }
    let mut sent: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    for received in received {
        sent.entry(&received.command.command_id).or_default().push(&received.command);
    }
    let mut expected = BTreeSet::new();
    let mut by_story: BTreeMap<Story, usize> = BTreeMap::new();
    for (id, story) in stories {
        *by_story.entry(*story).or_default() += 1;
        let ids = story.command_ids(id);
        let Some(cause) = story.cause() else {
            assert!(!decided.contains_key(id), "{id} is healthy");
            continue;
        };
        let verdict = pictures[id].verdict.as_ref().unwrap_or_else(|| panic!("{id} has no verdict"));
        let failing = verdict.failing.as_ref().expect("a failing edge");
        assert_eq!((verdict.outcome(), failing.call_id.as_str()), (Outcome::Failed, "charge"), "{id} {story:?}");
        let word = Cause::as_str_name(&verdict.cause()).trim_start_matches("CAUSE_").to_lowercase();
        assert_eq!(word, cause, "{id} {story:?}");
        let told = decided.get(id).unwrap_or_else(|| panic!("nothing was told of {id} {story:?}"));
        let different: BTreeSet<&String> = told.iter().collect();
        assert_eq!(different.len(), 1, "verdicts of {id} {story:?}");
        assert!(told.len() <= sends(tally.kills), "the verdict of {id} was told {} times", told.len());
        let waves: Vec<u32> = ids.iter().filter_map(|id| Some(sent.get(id.as_str())?.first()?.wave)).collect();
        assert_eq!(waves, (1..).take(ids.len()).collect::<Vec<u32>>(), "waves of {id} {story:?}");
        expected.extend(ids);
    }
    let ids: BTreeSet<String> = sent.keys().map(|&id| id.to_owned()).collect();
    assert_eq!(ids.difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new(), "commands under another id");
    assert_eq!(expected.difference(&ids).collect::<Vec<_>>(), Vec::<&String>::new(), "commands that were lost");
    let most = sent.values().map(Vec::len).max().unwrap_or(0);
    let again = sent.values().filter(|sent| sent.len() > 1).count();
    assert!(most <= sends(tally.kills), "a command was published {most} times");
    let attempts = sent.values().flatten().map(|command| command.attempt).max().unwrap_or(1);
    assert_eq!(attempts, 1, "a command was sent again although it was answered at once");
    println!(
        "{} kills ({} of ready agents), {} chains {by_story:?}, {} verdicts, {} commands, {again} of them more than \
         once under their ids; of the last agent: {}",
        tally.kills,
        tally.ready,
        stories.len(),
        decided.len(),
        ids.len(),
        tally.latencies.join(", "),
    );
}
