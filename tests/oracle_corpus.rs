//! The oracle is held to the corpus as the engine is: every scenario passes on it.

mod oracle;

use std::{fs, path::PathBuf};

use countermand::{
    model::{Action, ChainView, HostTime, Input, LaneId, Moment},
    scenario,
};

use oracle::Oracle;

struct Decider(Oracle);

impl scenario::Subject for Decider {
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        self.0.lane(topic, partition)
    }

    fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>) {
        self.0.apply(input, moment, host, actions);
    }

    fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        self.0.advance(host, at_end, actions);
    }

    fn next_due(&self) -> Option<HostTime> {
        self.0.next_due()
    }

    fn view(&self, chain_id: &str) -> Option<ChainView> {
        self.0.view(chain_id)
    }
}

fn files() -> Vec<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("../shared/scenarios"), here.join("tests/fixtures/scenarios")];
    folders.extend(std::env::var_os("COUNTERMAND_SCENARIOS").map(PathBuf::from));
    let mut files: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|folder| folder.filter_map(Result::ok).map(|entry| entry.path()))
        .filter(|file| scenario::is_scenario_file(file))
        .collect();
    files.sort();
    files
}

#[test]
fn every_scenario_passes_on_the_oracle() {
    let (mut run, mut failed) = (0, Vec::new());
    for file in files() {
        for parsed in scenario::parse(
            &fs::read_to_string(&file).expect("a file that was just listed"),
            &scenario::default_policy(),
        ) {
            let scenario = parsed.expect("the corpus is well-formed");
            run += 1;
            let mut oracle = Oracle::new(scenario.policy.clone());
            oracle.tell = true;
            let report = scenario::run(&scenario, &mut Decider(oracle));
            if !report.passed() {
                let lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
                failed.push(format!("{}: {}\n    {}", file.display(), scenario.name, lines.join("\n    ")));
            }
        }
    }
    assert!(run >= 159, "the corpus has shrunk to {run}");
    assert!(failed.is_empty(), "{} of {run} failed:\n{}", failed.len(), failed.join("\n"));
}
