//! Offline decisions: the same as live ones, one line a chain, bounded and in the face of broken input.

use std::{fs, path::PathBuf};

use countermand::{
    engine::Engine,
    model::{Action, BusTime, ChainView, HostTime, Input, LaneId, Moment},
    policy::{Mode, Policy},
    recording::Reader,
    render::ChainLine,
    replay::{Fed, Feed, Replay, Stood},
    scenario::{self, Ledger, Scenario, Subject},
    wire::WireLimits,
};

/// An engine, and a replay that hears what it hears.
struct Twin {
    engine: Engine,
    replay: Replay,
    partitions: Vec<i32>,
}

impl Subject for Twin {
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        self.partitions.push(partition);
        Subject::lane(&mut self.engine, topic, partition)
    }

    fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>) {
        if !matches!(input, Input::Published(_)) {
            let partition = self.partitions[usize::from(moment.position.lane.0)];
            let stood = Stood { at: moment.at, topic: "scenario", partition, offset: Some(moment.position.offset) };
            self.replay.pass(moment.at).unwrap();
            // What the engine refuses, the replay refuses.
            let _ = self.replay.take(input, stood);
        }
        Subject::apply(&mut self.engine, input, moment, host, actions);
    }

    fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        self.replay.pass(host.as_bus()).unwrap();
        Subject::advance(&mut self.engine, host, at_end, actions);
    }

    fn next_due(&self) -> Option<HostTime> {
        Subject::next_due(&self.engine)
    }

    fn view(&self, chain_id: &str) -> Option<ChainView> {
        Subject::view(&self.engine, chain_id)
    }
}

fn corpus() -> Vec<Scenario> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts.flat_map(|text| scenario::parse(&text, &scenario::default_policy())).map(Result::unwrap).collect()
}

/// Whatever the mode, a replay finds what a live engine finds, and plans at least what that sent.
#[test]
fn a_replay_decides_as_the_engine_that_was_there() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    // A lagging agent reads the same bus differently; a recording is in the order of the bus.
    for scenario in corpus().into_iter().filter(|scenario| scenario.steps.iter().all(|step| !step.lagging)) {
        let mut twin = Twin {
            engine: Engine::new(scenario.policy.clone()),
            replay: Replay::new(scenario.policy.clone(), None),
            partitions: Vec::new(),
        };
        let report = scenario::run(&scenario, &mut twin);
        twin.replay.pass(scenario::EPOCH.plus(scenario.steps.last().unwrap().at)).unwrap();
        twin.replay.end().unwrap();
        let lines = twin.replay.lines();
        for chain in report.ledger.chains() {
            let own: Vec<&ChainLine> = lines.iter().filter(|line| line.chain_id == chain).collect();
            compared += 1;
            let sends = scenario.policy.settings.mode == Mode::Auto;
            wrong.extend(
                differences(&report.ledger, chain, &own, sends).map(|what| format!("{}: {what}", scenario.name)),
            );
        }
    }
    assert!(compared > 140, "{compared} chains");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Anomalies that say what commands ran into are compared only where the live engine sent some too: a replay always runs
/// plans as if they were sent.
fn differences(ledger: &Ledger, chain: &str, lines: &[&ChainLine], sends: bool) -> Option<String> {
    let [line] = lines else { return Some(format!("chain {chain} has {} lines", lines.len())) };
    let live = ChainLine::from(ledger.picture(chain)?);
    let verdict = |line: &ChainLine| {
        let mut line = ChainLine { commands: Vec::new(), state: "", ..line.clone() };
        line.anomalies.retain(|anomaly| sends || !["decided_too_early", "ran_after_undo"].contains(anomaly));
        format!("{line:?}")
    };
    if verdict(&live) != verdict(line) {
        return Some(format!("\n  live   {}\n  replay {}", verdict(&live), verdict(line)));
    }
    let missing = ledger.sent().iter().filter(|sent| sent.command.chain_id == chain).find(|sent| {
        let command = &sent.command;
        !line.commands.iter().any(|own| {
            // A picture has no wave for what it keeps, such as a pivot that was asked about.
            (own.wave == command.wave || own.wave == 0)
                && (own.generation, own.action, &own.call_id, &own.operation)
                    == (command.generation, command.action.word(), &command.call_id, &command.operation)
        })
    });
    missing.map(|sent| format!("{:?} is not in {:?}", sent.command, line.commands))
}

/// Feeds recordings; gives their lines, and how many input lines were refused.
fn replay(policy: Policy, texts: &[String]) -> (Vec<ChainLine>, usize) {
    let open = |text: &String| Reader::new("test", std::io::Cursor::new(text.clone().into_bytes())).unwrap();
    let feed = Feed::over(texts.iter().map(open).collect(), policy.settings.max_ahead);
    let mut replay = Replay::new(policy, None);
    let mut refused = 0;
    let limits = WireLimits::default();
    for fed in feed {
        let Fed::Item(item) = fed else {
            refused += 1;
            continue;
        };
        replay.pass(item.at).unwrap();
        let Some(body) = &item.entry.body else { continue };
        let topic = item.entry.topic.as_deref().unwrap_or_default();
        let stood = Stood { at: item.at, topic, partition: item.entry.partition.unwrap_or(0), offset: None };
        let taken = body.input(&limits).is_ok_and(|input| replay.take(&input, stood).is_ok());
        refused += usize::from(!taken);
    }
    replay.end().unwrap();
    (replay.lines(), refused)
}

fn at(millis: i64) -> String {
    countermand::render::instant(BusTime(scenario::EPOCH.0 + millis))
}

fn request(millis: i64, chain: &str, call: &str, more: &str) -> String {
    format!(
        r#"{{"at":"{}","envelope":{{"chainId":"{chain}","callId":"{call}","messageId":"{call}-q","kind":"KIND_REQUEST",
        "source":{{"service":"shop"}},"destination":{{"service":"tills"}},"operation":"Buy"{more}}}}}"#,
        at(millis)
    )
    .replace("\n        ", "")
        + "\n"
}

fn response(millis: i64, chain: &str, call: &str, code: &str) -> String {
    format!(
        r#"{{"at":"{}","envelope":{{"chainId":"{chain}","callId":"{call}","messageId":"{call}-{code}","kind":"KIND_RESPONSE",
        "source":{{"service":"tills"}},"destination":{{"service":"shop"}},"status":{{"code":"STATUS_CODE_{code}"}}}}}}"#,
        at(millis)
    )
    .replace("\n        ", "")
        + "\n"
}

fn outcomes(lines: &[ChainLine]) -> Vec<(&str, &str)> {
    lines.iter().map(|line| (line.chain_id.as_str(), line.outcome)).collect()
}

/// S0, S2.8: two bad clocks and a file that is read beside another change no verdict.
#[test]
fn wild_clocks_and_the_order_of_files_change_nothing() {
    const TIMEOUT: &str = r#","timeout":"2s""#;
    let month = 30 * 24 * 3_600_000;
    let requests =
        request(0, "a", "a1", TIMEOUT) + &request(month, "wild", "w1", "") + &request(300, "b", "b1", TIMEOUT);
    let responses = response(1_500, "a", "a1", "OK") + &response(2_000, "b", "b1", "FAILED");
    for texts in [[requests.clone(), responses.clone()], [responses, requests]] {
        let (lines, refused) = replay(Policy::default(), &texts);
        assert_eq!(refused, 0);
        let mut outcomes = outcomes(&lines);
        outcomes.sort_unstable();
        assert_eq!(outcomes, [("a", "succeeded"), ("b", "failed"), ("wild", "unknown")]);
    }
}

/// Lines that cannot be read or used are counted, and the rest goes on; a chain that was closed gets no second line for
/// what came too late.
#[test]
fn every_chain_has_one_line_whatever_comes() {
    let day = 24 * 3_600_000;
    let text = request(0, "a", "a1", "")
        + "not json\n{\"at\":\"2026-01-01T00:00:00Z\",\"envelope\":{}}\n\n"
        + &response(10, "a", "a1", "OK")
        + &format!("{{\"at\":\"{}\"}}\n", at(60_000))
        + &response(61_000, "a", "a1", "FAILED")
        + &request(2 * day, "b", "b1", "")
        + &response(2 * day, "a", "a1", "UNKNOWN")
        + &response(2 * day, "b", "b1", "OK");
    let (lines, refused) = replay(Policy::default(), &[text]);
    assert_eq!(outcomes(&lines), [("a", "succeeded"), ("b", "succeeded")]);
    assert_eq!(refused, 3, "a line that is no JSON, an envelope without ids, an answer for a chain that is closed");
}

/// The acceptance of issue 3: nothing fails in these recordings, and where a faulty service shows errors, it is the most
/// frequent callee that failed in its window and does not fail without a fault.
#[test]
fn the_faulty_service_is_the_most_frequent_new_failing_callee() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train-ticket");
    let lines = |name: &str| {
        let feed = Feed::open(&[folder.join(name)], Policy::default().settings.max_ahead).unwrap();
        let mut replay = Replay::new(Policy::default(), None);
        for fed in feed {
            let Fed::Item(item) = fed else { panic!("a bad line in {name}") };
            replay.pass(item.at).unwrap();
            let Some(body) = item.entry.body else { continue };
            let stood = Stood { at: item.at, topic: "", partition: 0, offset: None };
            replay.take(&body.input(&WireLimits::default()).unwrap(), stood).unwrap();
        }
        replay.end().unwrap();
        replay.lines()
    };
    let (normal, faults) = (lines("normal.jsonl.gz"), lines("faults.jsonl.gz"));
    assert!(normal.iter().chain(&faults).all(|line| line.outcome == "succeeded"));
    let callees = |lines: &[&ChainLine]| {
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for line in lines {
            for failure in &line.tolerated {
                *counts.entry(failure.callee.clone()).or_default() += 1;
            }
        }
        counts
    };
    let usual = callees(&normal.iter().collect::<Vec<_>>());
    let truth: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("faults.truth.json")).unwrap()).unwrap();
    for window in truth.as_array().unwrap() {
        let (name, service) = (window["window"].as_str().unwrap(), window["service"].as_str().unwrap());
        let own: Vec<&ChainLine> = faults.iter().filter(|line| line.chain_id.starts_with(name)).collect();
        let new = callees(&own).into_iter().filter(|(callee, _)| !usual.contains_key(callee));
        let most = new.max_by_key(|(_, count)| *count);
        assert_eq!(most.map(|(callee, _)| callee).as_deref(), Some(service), "{name}");
    }
}
