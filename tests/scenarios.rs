//! The corpus: every scenario of `tests/fixtures/scenarios` passes on the engine.

use std::{fs, path::PathBuf};

use countermand::{engine::Engine, scenario};

#[test]
fn every_scenario_passes() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut run, mut failed) = (0, Vec::new());
    for file in files.iter().filter(|file| scenario::is_scenario_file(file)) {
        for parsed in scenario::parse(&fs::read_to_string(file).unwrap(), &scenario::default_policy()) {
            run += 1;
            let outcome = parsed.map_err(|error| error.to_string()).and_then(|scenario| {
                let report = scenario::run(&scenario, &mut Engine::new(scenario.policy.clone()));
                let lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
                if lines.is_empty() { Ok(()) } else { Err(format!("{}\n    {}", scenario.name, lines.join("\n    "))) }
            });
            failed.extend(outcome.err().map(|error| format!("{}: {error}", file.display())));
        }
    }
    assert!(run >= 159, "the corpus has shrunk to {run}");
    assert!(failed.is_empty(), "{} of {run} failed:\n{}", failed.len(), failed.join("\n"));
}
