//! The pages for operators name every metric and every state there is, and no other.
#![cfg(feature = "agent")]

use std::{collections::BTreeSet, path::PathBuf};

use countermand::{model::PlanState, telemetry::metrics::Metrics};

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn page(name: &str) -> String {
    let path = docs().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_metric_is_told_of_and_no_other() {
    let exposed = Metrics::default().text();
    let exposed: BTreeSet<&str> =
        exposed.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let index = page("operations.md");
    let names = |text: &str| -> BTreeSet<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
        let names = rows.filter_map(|row| row.split('`').nth(1).filter(|name| name.starts_with("countermand_")));
        names.map(str::to_owned).collect()
    };
    assert_eq!(names(&index), exposed.iter().map(|name| (*name).to_owned()).collect());
    for name in std::fs::read_dir(docs().join("metrics")).expect("pages") {
        let name = name.expect("a page").file_name().into_string().expect("a name");
        assert!(index.contains(&format!("](metrics/{name})")), "{name} is in no table");
        let metric = format!("countermand_{}", name.trim_end_matches(".md"));
        assert!(exposed.contains(metric.as_str()), "{metric} is none");
    }
}

#[test]
fn every_state_has_its_page() {
    let index = page("operations.md");
    for state in PlanState::ALL {
        let page = page(&format!("states/{state}.md"));
        assert!(page.starts_with(&format!("# `{state}`\n")) && page.contains("## What to do"), "{state}");
        assert!(index.contains(&format!("](states/{state}.md)")), "{state} is not in the table");
    }
}

#[test]
fn links_lead_somewhere() {
    let folders = ["", "states", "metrics"].map(|folder| docs().join(folder));
    for file in folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("pages")) {
        let path = file.expect("a page").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let outside = link.starts_with("http") || link.is_empty();
            let target = path.parent().expect("a folder").join(link);
            assert!(outside || target.exists(), "{}: {link}", path.display());
        }
    }
}
