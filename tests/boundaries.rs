//! The boundaries of the house (ARCHITECTURE.md, "Invariants"), held over the tree as it stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} file under {}", folder.display());
    found
}

/// The code of a file, without comments and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable source file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn offenders(folders: &[&str], banned: &[&str]) -> Vec<String> {
    let files = folders.iter().flat_map(|folder| files_under(&root().join(folder), "rs"));
    let mut found = Vec::new();
    for file in files {
        let code = code(&file);
        let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for word in banned.iter().filter(|word| words.contains(**word)) {
            found.push(format!("{}: {word}", file.strip_prefix(root()).unwrap_or(&file).display()));
        }
    }
    found
}

/// Invariant 1: the engine knows no bus, no store, no clock and no thread.
#[test]
fn the_core_has_no_io_clock_randomness_or_threads() {
    let banned = [
        "tokio",
        "rdkafka",
        "lapin",
        "axum",
        "SystemTime",
        "Instant",
        "thread",
        "rand",
        "RandomState",
        "dashmap",
        "File",
        "TcpStream",
        "env",
        "stdin",
        "stdout",
        "println",
        "eprintln",
        "Mutex",
        "RwLock",
        "AtomicU64",
    ];
    assert_eq!(offenders(&["src/model", "src/engine"], &banned), Vec::<String>::new());
    let policy = ["tokio", "rdkafka", "lapin", "axum", "SystemTime", "Instant", "thread", "rand", "fs", "stdin"];
    assert_eq!(offenders(&["src/policy"], &policy), Vec::<String>::new());
}

/// The engine uses nothing of the house but the model and the policy.
#[test]
fn the_core_depends_on_nothing_around_it() {
    let uses = |folder: &str| -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for file in files_under(&root().join(folder), "rs") {
            for line in code(&file).lines() {
                let mut rest = line;
                while let Some(at) = rest.find("crate::") {
                    rest = &rest[at + 7..];
                    found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
                }
            }
        }
        found.remove("");
        found
    };
    let only = |allowed: &[&str]| allowed.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert!(uses("src/model").is_subset(&only(&["model"])), "src/model uses {:?}", uses("src/model"));
    assert!(uses("src/policy").is_subset(&only(&["model", "policy"])), "src/policy uses {:?}", uses("src/policy"));
    let engine = uses("src/engine");
    assert!(engine.is_subset(&only(&["engine", "model", "policy"])), "src/engine uses {engine:?}");
}

/// The first line of every file of the engine says what it is and, where it holds rules, which.
#[test]
fn every_file_of_the_engine_says_what_it_holds() {
    for file in files_under(&root().join("src/engine"), "rs") {
        let text = fs::read_to_string(&file).expect("a readable source file");
        assert!(text.starts_with("//! "), "{} does not begin with a line that says what it is", file.display());
    }
}

/// Every rule that is built is named in the engine and in a scenario or a test.
#[test]
fn every_rule_that_is_built_is_named_in_code_and_in_a_test() {
    let built: BTreeMap<u32, u32> = BTreeMap::from([(1, 10), (2, 10), (3, 8), (4, 9), (5, 15)]);
    let named = |texts: &[String]| -> BTreeSet<(u32, u32)> {
        let mut found = BTreeSet::new();
        for text in texts {
            found.extend(rules_in(text));
        }
        found
    };
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a readable file");
    let code: Vec<String> = ["src/engine", "src/model", "src/bus", "src/policy"]
        .iter()
        .flat_map(|folder| files_under(&root().join(folder), "rs"))
        .map(|path| read(&path))
        .collect();
    let mut tests: Vec<String> = files_under(&root().join("tests"), "rs").iter().map(read).collect();
    tests.extend(files_under(&root().join("tests/fixtures/scenarios"), "yaml").iter().map(read));
    let (in_code, in_tests) = (named(&code), named(&tests));
    let all = built.iter().flat_map(|(&section, &last)| (1..=last).map(move |rule| (section, rule)));
    let missing: Vec<String> = all
        .filter(|rule| !in_code.contains(rule) || !in_tests.contains(rule))
        .map(|(section, rule)| format!("S{section}.{rule}"))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "rules named in no code, or in no scenario and no test");
}

fn rules_in(text: &str) -> Vec<(u32, u32)> {
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('S') {
        rest = &rest[at + 1..];
        let section = number(rest);
        let after = &rest[section.len()..];
        if let (Ok(section), Some(after)) = (section.parse(), after.strip_prefix('.')) {
            found.extend(number(after).parse().ok().map(|rule| (section, rule)));
        }
    }
    found
}

/// Files of one idea: hand-written files stay readable in one sitting.
#[test]
fn no_file_grows_beyond_what_one_reads_in_a_sitting() {
    let long: Vec<String> = files_under(&root().join("src"), "rs")
        .into_iter()
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).expect("a readable source file").lines().count();
            (lines > 480).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert_eq!(long, Vec::<String>::new());
}
