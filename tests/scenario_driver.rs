//! How scenarios are driven: what a subject is told, in which order and at which time (S2.5, S2.8, S5.13, S8.3), and
//! how what comes of it is compared.

use std::collections::BTreeSet;

use countermand::{
    model::{
        Action, Certainty, ChainView, Command, CommandAction, HostTime, Input, LaneId, MessageKind, Moment, PlanState,
        Refusal, command_id,
    },
    scenario::{self, EPOCH, Report, Scenario, Subject},
};

/// Writes down what it is told. Sends one command `wait` after the first message, and again `again` after each
/// publication, at most three times. Refuses every operation.
#[derive(Default)]
struct Fake {
    heard: Vec<String>,
    lanes: Vec<String>,
    host: i64,
    due: Option<i64>,
    sent: u32,
}

const WAIT: i64 = 100;
const AGAIN: i64 = 1_000;

impl Fake {
    fn since(at: i64) -> i64 {
        at - EPOCH.0
    }

    fn fire(&mut self, actions: &mut Vec<Action>) {
        if self.due.is_some_and(|due| due <= self.host) && self.sent < 3 {
            self.due = None;
            self.sent += 1;
            actions.push(Action::Command(Box::new(command(self.sent))));
        }
    }
}

fn command(attempt: u32) -> Command {
    Command {
        command_id: command_id("c", "pay", CommandAction::Undo, 1),
        chain_id: "c".into(),
        call_id: "pay".into(),
        action: CommandAction::Undo,
        service: "bank".into(),
        version: String::new(),
        instance: String::new(),
        operation: "Refund".into(),
        call_operation: "Charge".into(),
        key: String::new(),
        requested_at: None,
        certainty: Certainty::Applied,
        wave: 1,
        generation: 1,
        attempt,
        issued_at: HostTime(0),
        answer_by: HostTime(0),
        request: None,
        response: None,
        compensation: None,
        route: String::new(),
        headers: Default::default(),
        message: None,
        attributes: Default::default(),
        revision: 1,
        verdict: String::new(),
    }
}

impl Subject for Fake {
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        self.lanes.push(format!("{topic}/{partition}"));
        LaneId(u16::try_from(self.lanes.len() - 1).unwrap())
    }

    fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>) {
        self.host = self.host.max(host.0);
        let what = match input {
            Input::Message(message) => {
                self.due.get_or_insert(host.0 + WAIT);
                match message.kind {
                    MessageKind::Request(request) => {
                        format!("request {} by {}", message.call_id, request.source.service)
                    }
                    MessageKind::Event(_) => format!("event {}", message.call_id),
                    MessageKind::Response(_) => format!("response {}", message.call_id),
                }
            }
            Input::DeadLetter(letter) => {
                format!("dead letter {} {}", letter.message.call_id, letter.message.message_id)
            }
            Input::Result(result) => format!("result {}", result.command_id),
            Input::Operation(operation) => {
                actions.push(Action::Refused(Refusal::OperationRefused));
                format!("operation {}", operation.verb.word())
            }
            Input::Published(_) => {
                self.due = Some(host.0 + AGAIN);
                self.heard.push(format!("published @{}", Self::since(host.0)));
                return;
            }
            Input::Route(_) | Input::Unrouted(_) => unreachable!("a scenario asks for no routes"),
        };
        let (at, position) = (Self::since(moment.at.0), moment.position);
        let host = Self::since(host.0);
        self.heard.push(format!("{what} @{at} host {host} lane {} offset {}", position.lane.0, position.offset));
    }

    fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        self.host = self.host.max(host.0);
        if at_end.len() == self.lanes.len() {
            self.fire(actions);
        }
    }

    fn next_due(&self) -> Option<HostTime> {
        self.due.filter(|_| self.sent < 3).map(HostTime)
    }

    fn view(&self, chain_id: &str) -> Option<ChainView> {
        (chain_id == "c").then(|| ChainView {
            chain_id: "c".into(),
            started_at: EPOCH,
            verdict: None,
            state: PlanState::None,
            waits: Vec::new(),
            calls: Vec::new(),
            commands: Vec::new(),
        })
    }
}

fn parse(yaml: &str) -> Scenario {
    let mut parsed = scenario::parse(yaml, &scenario::default_policy());
    assert_eq!(parsed.len(), 1, "one document");
    parsed.remove(0).unwrap_or_else(|error| panic!("{error}"))
}

fn run(yaml: &str) -> (Fake, Report) {
    let mut fake = Fake::default();
    let report = scenario::run(&parse(yaml), &mut fake);
    (fake, report)
}

#[test]
fn a_subject_hears_messages_and_publications_in_their_order_and_at_their_time() {
    let (fake, report) = run("
scenario: everything in its order
bus:
  - {at: 0ms, request: buy, from: shop, to: tills@1.0, op: Buy}
  - {at: 5ms, request: pay, in: buy, to: bank@2.0#b-7, op: Charge, undo: Refund, id: m7, partition: 2}
  - {at: 5ms, chain: '', response: pay}
  - {at: 1.2s, result: pay, state: done}
  - {at: 2ms, response: buy}
  - {at: 1300ms, dead_letter: pay}
  - {at: 1400ms, operator: approve, refused: true}
  - {at: 10s}
expect:
  - at: 1.1s
    commands: [{wave: 1, undo: pay, sends: 2}]
  - at: 20s
    commands: [{undo: pay, certainty: applied, op: Refund, sends: 3}]
    chain: {outcome: none, failing: none, path: []}
");
    let id = command_id("c", "pay", CommandAction::Undo, 1);
    assert_eq!(fake.lanes, ["scenario/0", "scenario/2"]);
    assert_eq!(
        fake.heard,
        [
            "request buy by shop @0 host 0 lane 0 offset 0",
            "request pay by tills @5 host 5 lane 1 offset 0",
            "published @100",
            "published @1100",
            &format!("result {id} @1200 host 1200 lane 0 offset 3"),
            "response buy @2 host 1200 lane 0 offset 1",
            "dead letter pay m7 @1300 host 1300 lane 0 offset 4",
            "operation approve @1400 host 1400 lane 0 offset 5",
            "published @2100",
        ]
    );
    assert_eq!(report.ledger.dropped, 1);
    assert_eq!(report.differences, []);
}

#[test]
fn while_the_agent_lags_no_timer_fires_and_the_clock_stands_at_the_next_step() {
    let (fake, report) = run("
scenario: an hour behind
bus:
  - {at: 0ms, request: buy, from: shop, to: tills, op: Buy}
  - {at: 0ms, request: pay, in: buy, to: bank, op: Charge}
  - {at: 30m, response: buy, lagging: true}
  - {at: 1h}
expect:
  - at: 45m
    commands: [{undo: pay, sends: 1}]
  - at: 1s
    commands: []
");
    assert_eq!(
        fake.heard,
        [
            "request buy by shop @0 host 0 lane 0 offset 0",
            "request pay by tills @0 host 0 lane 0 offset 1",
            "response buy @1800000 host 3600000 lane 0 offset 2",
            "published @3600000"
        ]
    );
    assert_eq!(report.differences, [], "at 1 s the agent lags; at 45 min it has caught up, with the clock at an hour");
}

#[test]
fn what_is_not_as_expected_is_said_side_by_side() {
    let (_, report) = run("
scenario: wrong in every way
bus:
  - {at: 0ms, request: buy, from: shop, to: tills, op: Buy}
  - {at: 1ms, operator: skip, call: buy, refused: false}
  - {at: 2ms, request: pay, in: buy, to: bank, op: Charge}
  - {at: 500ms}
expect:
  chains:
    c: {outcome: failed, path: [buy]}
    d: {state: none}
  commands:
    - {wave: 2, undo: pay, certainty: in_doubt, sends: 2}
    - {wave: 1, retry: pay}
    - {wave: 1, undo: pay, generation: 2}
");
    let said: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "at 1ms, step 2: expected accepted, came refused: operation_refused",
            "chain c: outcome: expected failed, came none",
            "chain c: path: expected [buy], came []",
            "chain d: state: expected none, came no such chain",
            "command: expected wave 2 undo pay in_doubt, sent 2x, came wave 1 undo pay applied, sent 1x",
            "command: expected wave 1 retry pay, came nothing",
            "command: expected wave 1 undo pay, generation 2, came nothing",
        ]
    );
}

#[test]
fn whatever_is_not_understood_is_an_error_that_names_its_place() {
    let with = |step: &str, rest: &str| {
        let yaml =
            format!("scenario: strict\n{rest}\nbus:\n  - {{at: 0ms, request: a, from: x, to: y, op: A}}\n  - {step}\n");
        let yaml = if yaml.contains("expect:") { yaml } else { format!("{yaml}expect: {{commands: []}}\n") };
        match scenario::parse(&yaml, &scenario::default_policy()).remove(0) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    for (step, rest, message) in [
        ("{at: 1ms, reponse: a}", "", "strict: step 2: unknown field `reponse`"),
        ("{at: 1ms, response: a, op: B}", "", "strict: step 2: `op` means nothing in response"),
        ("{at: 1ms, response: a, request: b}", "", "strict: step 2: is both `request` and `response`"),
        ("{at: 1ms, request: b, to: y, op: B}", "", "strict: step 2: the root `b` needs `from`"),
        ("{at: 1ms, request: b, in: a, op: B}", "", "strict: step 2: needs `to`"),
        ("{at: 1, response: a}", "", "strict: step 2: `1` has no unit"),
        ("{response: a}", "", "strict: step 2: needs `at`"),
        ("{at: 1ms, response: a, failed: X, unknown: Y}", "", "strict: step 2: answers in two ways at once"),
        ("{at: 1ms, result: a, state: fine}", "", "strict: step 2: `state: fine` is not one of done, not_needed"),
        ("{at: 1ms}", "config: {modes: {a/B: never}}", "strict: config, `modes`: `a/B: never` is not one of"),
        ("{at: 1ms}", "config: {mdoe: auto}", "strict: config: unknown field `mdoe`"),
        ("{at: 1ms}", "expect: {chain: {outcome: fialed}}", "strict: expect: `outcome: fialed` does not exist"),
        ("{at: 1ms}", "expect: {chain: {anomalies: [odd]}}", "strict: expect: `odd` is no anomaly"),
        ("{at: 1ms}", "expect: {commands: [{wave: 1}]}", "strict: expect: a command needs exactly one of"),
        (
            "{at: 1ms}",
            "expect: [{commands: []}, {at: soon}]",
            "strict: expect, block 2: `soon` is not a length of time",
        ),
        ("{at: 1ms}", "expect: {}", "strict: expect: expects nothing: write `chain:"),
        ("{at: 1ms}", "expect: {chain: {}}", "strict: expect: expects nothing"),
        ("{at: 1ms}", "expect: []", "strict: expect: expects nothing"),
        (
            "{at: 1ms}",
            "expect: {chain: {failing: b}}",
            "strict: expect, `failing`: no message of chain `c` tells of a call `b`",
        ),
        ("{at: 1ms}", "expect: {chains: {d: {path: [a]}}}", "strict: expect, `path`: no message of chain `d` tells"),
        (
            "{at: 1ms}",
            "expect: {commands: [{undo: a/x}]}",
            "strict: expect, `commands`: no message of chain `c` tells of",
        ),
        ("{at: 1ms, result: b, state: done}", "", "strict: step 2: no message of chain `c` tells of a call `b`"),
        ("{at: 1ms, operator: skip, call: b}", "", "strict: step 2: no message of chain `c` tells of a call `b`"),
        ("{at: 1ms, lagging: perhaps}", "", "strict: step 2.lagging: invalid type"),
        ("{at: 1ms, failed: X", "", "document 1: "),
    ] {
        let said = with(step, rest);
        assert!(said.starts_with(message), "{step} {rest}\n  says {said}\n  not  {message}");
    }
}

#[test]
fn a_faulty_document_does_not_spoil_the_others() {
    let yaml =
        "# words\n---\nscenario: a\nbus: []\nexpect: {commands: []}\n---\nscenario: b\nbuss: []\n---\n---\nscenario: 2.0\nbus:
  - {at: 0, request: 1, from: x, to: y@2.10, op: no, key: 0x1F}\nexpect: [{chain: {failing: 1}}]\n";
    let parsed = scenario::parse(yaml, &scenario::default_policy());
    let names: Vec<Result<&str, &str>> = parsed
        .iter()
        .map(|one| one.as_ref().map(|scenario| scenario.name.as_str()).map_err(|error| error.scenario.as_str()))
        .collect();
    assert_eq!(names, [Ok("a"), Err("b"), Ok("2.0")]);
    let texts: BTreeSet<String> = parsed[2].iter().map(|scenario| format!("{:?}", scenario.steps[0].act)).collect();
    for text in ["\"2.10\"", "\"no\"", "\"0x1F\""] {
        assert!(texts.iter().all(|act| act.contains(text)), "{text} keeps its spelling in {texts:?}");
    }
}

/// Whatever stands in a file, reading and running it ends, without a panic.
#[test]
fn no_file_makes_the_runner_panic() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let documents: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            text.split("---\n").skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    // Words that mean something elsewhere do more damage than noise.
    let words: Vec<&str> = documents.iter().flat_map(|text| text.split([' ', ',', '{', '}', ':', '\n'])).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut ran = 0;
    for _ in 0..3_000 {
        let mut text = documents[random(documents.len())].clone();
        for _ in 0..=random(3) {
            let tokens: Vec<(usize, &str)> = text.match_indices([' ', ',', ':']).collect();
            let (from, _) = tokens[random(tokens.len())];
            let to = tokens.iter().find(|(at, _)| *at > from).map_or(text.len(), |(at, _)| *at);
            text.replace_range(from + 1..to, words[random(words.len())]);
        }
        for scenario in scenario::parse(&text, &scenario::default_policy()).into_iter().flatten() {
            ran += 1;
            let report = scenario::run(&scenario, &mut countermand::engine::Engine::new(scenario.policy.clone()));
            let restless = report.differences.iter().any(|difference| difference.what == "run");
            assert!(!restless, "the engine does not come to rest:\n{text}");
        }
    }
    assert!(ran > 300, "only {ran} were still scenarios");
}
