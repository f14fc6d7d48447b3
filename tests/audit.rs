//! The audit file (S7.1): what is added can be verified, and whatever was changed shows.

use std::{fs, io::Write, path::PathBuf};

use countermand::audit::{Act, Log, verify};

fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.jsonl", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn act(n: usize) -> Act {
    Act {
        what: "asked".into(),
        verb: "retry".into(),
        chain_id: format!("chain-{n}"),
        by: "ann".into(),
        reason: "the topic is there".into(),
        ..Act::default()
    }
}

fn at_line(text: &str) -> u64 {
    verify(text.as_bytes()).expect_err("a fault").line
}

#[test]
fn a_line_that_is_changed_missing_or_put_in_shows() {
    let path = file("audit");
    let log = Log::new(path.clone());
    for n in 0..5 {
        log.append(vec![act(n)], "2026-01-01T00:00:00Z").expect("a line");
    }
    drop(log);
    // Another process goes on where this one ended, and cuts off what a crash left.
    let mut half = fs::OpenOptions::new().append(true).open(&path).expect("the file");
    half.write_all(b"{\"seq\":6,\"at\"").expect("half a line");
    drop(half);
    assert_eq!(at_line(&fs::read_to_string(&path).expect("text")), 6);
    let log = Log::new(path.clone());
    log.append(vec![act(5), act(6)], "2026-01-01T00:00:01Z").expect("two lines");
    assert!(Log::new(path.clone()).append(vec![act(7)], "").is_err(), "one process writes it");

    let text = fs::read_to_string(&path).expect("text");
    let good = verify(text.as_bytes()).expect("a good file");
    assert_eq!(good.entries, 7);
    assert_eq!(at_line(&text.replace("chain-3", "chain-9")), 4);
    let lines: Vec<&str> = text.lines().collect();
    let without = |left_out: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, line)| format!("{line}\n"));
        kept.collect::<String>()
    };
    assert_eq!(at_line(&without(2)), 3);
    assert_eq!(at_line(&format!("{}\n{text}", lines[0])), 2);
    assert_eq!(at_line(&text.replace("\"seq\":2,", "\"seq\":2, ")), 2, "written otherwise");
    let short = verify(without(6).as_bytes()).expect("nothing shows that lines are missing at the end");
    assert_ne!(short.last, good.last, "but the newest hash");

    let (newest, older) = log.newest(u64::MAX, 3).expect("entries");
    assert_eq!((newest.iter().map(|entry| entry.seq).collect::<Vec<_>>(), older), (vec![7, 6, 5], true));
    let (rest, older) = log.newest(3, 10).expect("entries");
    assert_eq!((rest.len(), older), (2, false));
}

/// Pages of a long file are read from where they stand, and are what they would be if all of it were read.
#[test]
fn pages_of_a_long_file_give_each_entry_once() {
    const ENTRIES: usize = 3_000;
    let path = file("long-audit");
    let log = Log::new(path.clone());
    assert_eq!(log.newest(u64::MAX, 10).expect("nothing yet"), (Vec::new(), false));
    // Lines of very different lengths, up to the longest: some larger than what is read at once, some by the hundred.
    let length = |n: usize| if n.is_multiple_of(97) { 60_000 } else { n % 700 };
    let acts = |n| Act { reason: "r".repeat(length(n)), ..act(n) };
    log.append((0..ENTRIES).map(acts).collect(), "2026-01-01T00:00:00Z").expect("lines");
    for limit in [7, 500] {
        let (mut before, mut seen) = (u64::MAX, Vec::new());
        loop {
            let (page, older) = log.newest(before, limit).expect("a page");
            assert!(page.len() == limit || !older, "limit {limit} before {before}: {}", page.len());
            seen.extend(page.iter().map(|entry| entry.seq));
            let Some(last) = page.last().filter(|_| older) else { break };
            before = last.seq;
        }
        assert_eq!(seen, (1..=ENTRIES as u64).rev().collect::<Vec<_>>(), "limit {limit}");
    }
    let (none, older) = log.newest(1, 10).expect("a page");
    assert_eq!((none.len(), older), (0, false));
    // A line that was broken is left out, wherever it stands.
    let text = fs::read_to_string(&path).expect("text").replace("\"seq\":1500,", "\"seq\":");
    fs::write(&path, text).expect("a broken file");
    let (page, _) = Log::new(path).newest(1_503, 4).expect("a page");
    assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1_502, 1_501, 1_499, 1_498]);
}
