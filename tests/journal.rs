//! The local journal on disks as they are: its format stays readable, a full disk loses nothing that was acknowledged, and
//! damage is found and said.
#![cfg(feature = "agent")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use countermand::{
    bus::{Outgoing, Progress, Record, Stamp, TopicPartition},
    journal::local::{Batch, Durability, Journal, JournalError, Letter},
    model::BusTime,
};

fn at() -> TopicPartition {
    TopicPartition { topic: "orders".into(), partition: 0 }
}

/// The input of a step, which says what its number is in every part.
fn input(step: u64, bytes: usize) -> Record {
    Record {
        topic: at().topic,
        partition: 0,
        offset: step,
        stamp: Stamp::Bus(BusTime(1_000 + i64::try_from(step).unwrap())),
        key: Some(Bytes::from(format!("chain-{step}"))),
        headers: vec![("type".to_owned(), None)],
        payload: Some(Bytes::from(noise(step, bytes))),
    }
}

/// Bytes that do not compress.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..bytes).map(|_| random.below(256) as u8).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// One step: something came, something changed, something is to be published.
fn step(journal: &mut Journal, step: u64, bytes: usize) -> Result<(), JournalError> {
    let number = journal.number();
    let record = Outgoing::keyed("commands.payment", "chain", step.to_be_bytes().to_vec());
    let command = Some((0, format!("chain-{step}"), format!("command-{step}")));
    // Every tenth step saves what came before the last five.
    let progress = (step % 10 == 9).then(|| Progress { at: at(), offset: step - 5, metadata: format!("saved {step}") });
    journal.commit(Batch {
        inputs: &[input(step, bytes)],
        places: &[(at(), step + 1)],
        state: vec![(0, b"en".to_vec(), Some([&[1], &step.to_be_bytes()[..]].concat()))],
        progress: progress.into_iter().collect(),
        seen: &[u128::from(step)],
        outbox: &[Letter { number, record, command }],
    })
}

/// Everything that a journal has.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    inputs: Vec<(u64, Vec<u8>)>,
    rest: String,
    seen: Vec<u128>,
}

fn look(journal: &Journal, steps: u64) -> Result<Picture, JournalError> {
    let inputs = journal.inputs(&at())?.into_iter().map(|record| (record.offset, record.payload.unwrap().to_vec()));
    let outbox: Vec<_> = journal.outbox()?.into_iter().map(|letter| (letter.number, letter.command)).collect();
    let rest = format!("{:?} {:?} {:?} {outbox:?}", journal.mark(&at())?, journal.place(&at())?, journal.state(0)?);
    let seen = (0..steps).map(u128::from).filter(|identity| journal.has_seen(*identity)).collect();
    Ok(Picture { inputs: inputs.collect(), rest, seen })
}

fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

/// The files of a folder by their paths in it: how long each is, and what is in it before the zeros at its end.
type Files = BTreeMap<String, (u64, Vec<u8>)>;

fn files(folder: &Path) -> Files {
    fn walk(folder: &Path, root: &Path, files: &mut Files) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, files);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            let length = bytes.len() as u64;
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.insert(name, (length, bytes));
        }
    }
    let mut found = Files::new();
    walk(folder, folder, &mut found);
    found
}

fn put(files: &Files, folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    for (name, (length, bytes)) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(*length).unwrap();
    }
}

/// Inputs that came together are kept together, and given back from the first that is not saved; what is saved as it comes is not
/// kept at all.
#[test]
fn inputs_that_came_together_are_given_back_from_the_first_that_is_not_saved() {
    let folder = scratch("together");
    let other = TopicPartition { topic: "answers".into(), partition: 0 };
    let on_other = |step: u64| Record { topic: other.topic.clone(), ..input(step, 10) };
    let numbers = |journal: &Journal, at: &TopicPartition| -> Vec<u64> {
        journal.inputs(at).unwrap().iter().map(|record| record.offset).collect()
    };
    let saved = |offset: u64| vec![Progress { at: at(), offset, metadata: String::new() }];
    // What is written for both lanes, saved or not.
    let entries = || {
        let store = fjall::Database::builder(&folder).open().unwrap();
        store.keyspace("inputs", fjall::KeyspaceCreateOptions::default).unwrap().len().unwrap()
    };
    let mut journal = Journal::open(&folder, Durability::Disk).unwrap();
    let together = [input(0, 10), on_other(0), input(1, 200_000), input(2, 200_000), on_other(1), input(3, 10)];
    journal.commit(Batch { inputs: &together, seen: &[7, 8], ..Batch::default() }).unwrap();
    journal.commit(Batch { progress: saved(2), ..Batch::default() }).unwrap();
    // Of what comes now the first two are saved at once, and with them all that came before.
    let next = [input(4, 10), input(5, 10), input(6, 10)];
    for (more, expected, written) in [(None, vec![2, 3], 3), (Some(saved(6)), vec![6], 2), (Some(saved(7)), vec![], 1)]
    {
        if let Some(progress) = more {
            let inputs = if progress[0].offset == 6 { &next[..] } else { &[] };
            journal.commit(Batch { inputs, progress, ..Batch::default() }).unwrap();
        }
        assert_eq!(numbers(&journal, &at()), expected);
        drop(journal);
        assert_eq!(entries(), written, "what is saved is not kept");
        journal = Journal::open(&folder, Durability::Disk).unwrap();
        assert_eq!(numbers(&journal, &at()), expected, "after a restart");
        assert_eq!(numbers(&journal, &other), [0, 1]);
        assert!(journal.has_seen(7) && journal.has_seen(8) && !journal.has_seen(9));
    }
    let kept = journal.inputs(&other).unwrap();
    assert_eq!(kept[1].payload, on_other(1).payload);
    fs::remove_dir_all(&folder).unwrap();
}

/// Identities are remembered by what came together, and forgotten so: never fewer than the newest 65,536.
#[test]
fn identities_are_forgotten_in_the_order_in_which_they_came() {
    const TOGETHER: u128 = 1_009;
    let folder = scratch("identities");
    let mut journal = Journal::open(&folder, Durability::Process).unwrap();
    for batch in 0..66 {
        let seen: Vec<u128> = (batch * TOGETHER..(batch + 1) * TOGETHER).collect();
        journal.commit(Batch { seen: &seen, ..Batch::default() }).unwrap();
    }
    for _ in 0..2 {
        let known = [0, TOGETHER - 1, TOGETHER, 66 * TOGETHER - 1, 66 * TOGETHER].map(|n| journal.has_seen(n));
        assert_eq!(known, [false, false, true, true, false]);
        drop(journal);
        journal = Journal::open(&folder, Durability::Process).unwrap();
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// `BLESS=1` writes the newest if it is not there: for a new version of the format, beside those before.
#[test]
fn a_journal_of_every_format_is_read_and_goes_on() {
    for version in ["v1", "v2"] {
        goes_on(version);
    }
}

fn goes_on(version: &str) {
    const STEPS: u64 = 25;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/journal/{version}.zst"));
    let folder = scratch(&format!("format-{version}"));
    if std::env::var_os("BLESS").is_some() && !fixture.exists() {
        let mut journal = Journal::open(&folder, Durability::Disk).unwrap();
        (0..STEPS).for_each(|n| step(&mut journal, n, 10).unwrap());
        journal.published(&[0, 1, 2]).unwrap();
        drop(journal);
        let packed = zstd::encode_all(&*postcard::to_stdvec(&files(&folder)).unwrap(), 19).unwrap();
        fs::create_dir_all(fixture.parent().unwrap()).unwrap();
        fs::write(&fixture, packed).unwrap();
    }
    let packed = fs::read(&fixture).expect("the fixture");
    put(&postcard::from_bytes(&zstd::decode_all(&*packed).unwrap()).unwrap(), &folder);
    let mut journal = Journal::open(&folder, Durability::Disk).unwrap();
    let picture = look(&journal, STEPS + 1).unwrap();
    assert_eq!(picture.inputs, (14..STEPS).map(|n| (n, noise(n, 10))).collect::<Vec<_>>());
    assert_eq!(picture.seen, (0..STEPS).map(u128::from).collect::<Vec<_>>());
    assert_eq!(
        journal.mark(&at()).unwrap().map(|mark| (mark.offset, mark.metadata)),
        Some((14, "saved 19".to_owned()))
    );
    assert_eq!(journal.place(&at()).unwrap(), Some(STEPS));
    let letters = journal.outbox().unwrap();
    assert_eq!(letters.iter().map(|letter| letter.number).collect::<Vec<_>>(), (3..STEPS).collect::<Vec<_>>());
    assert_eq!(letters[0].command, Some((0, "chain-3".to_owned(), "command-3".to_owned())));
    assert_eq!(letters[0].record.payload.as_deref(), Some(&3u64.to_be_bytes()[..]));
    step(&mut journal, STEPS, 10).unwrap();
    drop(journal);
    let journal = Journal::open(&folder, Durability::Disk).unwrap();
    assert_eq!(look(&journal, STEPS + 1).unwrap().seen.len() as u64, STEPS + 1);
    fs::remove_dir_all(&folder).unwrap();
}

/// One byte is another, anywhere: what was acknowledged is all there, or whoever opens the journal says that it is damaged. A
/// process of its own looks, since the store under the journal ends some processes that way.
#[test]
fn damage_is_found_and_said() {
    const STEPS: u64 = 80;
    const LOOK: &str = "COUNTERMAND_LOOK_AT_JOURNAL";
    if let Some(folder) = std::env::var_os(LOOK) {
        let looked = Journal::open(Path::new(&folder), Durability::Process).and_then(|journal| look(&journal, STEPS));
        match looked {
            Ok(picture) => println!("picture {:016x}", xxhash_rust::xxh3::xxh3_64(format!("{picture:?}").as_bytes())),
            Err(error) => println!("error {error}"),
        }
        return;
    }
    let folder = scratch("damage");
    let ask = || {
        let mut looker = Command::new(std::env::current_exe().unwrap());
        looker.args(["--exact", "damage_is_found_and_said", "--nocapture"]).env(LOOK, &folder);
        let told = looker.output().unwrap();
        let lines = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
        let line = |word: &str| lines.lines().find(|line| line.starts_with(word)).map(str::to_owned);
        line("picture ").or_else(|| line("error ")).unwrap_or_else(|| {
            assert!(!told.status.success() && lines.contains("panicked"), "{lines}");
            "panic".to_owned()
        })
    };
    let mut journal = Journal::open(&folder, Durability::Process).unwrap();
    // Enough to be sorted into files, and more in the log.
    (0..STEPS).for_each(|n| step(&mut journal, n, 300_000).unwrap());
    drop(journal);
    let before = files(&folder);
    let whole = ask();
    assert!(whole.starts_with("picture "), "{whole}");
    // The witness bears witness against others, not for itself.
    let places: Vec<(&String, usize)> = before
        .iter()
        .filter(|(name, (_, bytes))| *name != "acknowledged" && !bytes.is_empty())
        .map(|(name, (_, bytes))| (name, bytes.len()))
        .collect();
    let mut random = Random(20_261_130);
    let mut told = BTreeMap::<&str, usize>::new();
    for _ in 0..100 {
        // Small files as often as large ones.
        let (name, length) = places[random.below(places.len() as u64) as usize];
        let place = random.below(length as u64) as usize;
        let mut damaged = before.clone();
        damaged.get_mut(name).unwrap().1[place] ^= 1 << random.below(8);
        put(&damaged, &folder);
        let said = ask();
        assert!(said == whole || !said.starts_with("picture "), "byte {place} of {name} was lost in silence");
        let word = if said == whole { "harmless" } else { said.split(' ').next().unwrap_or_default() };
        *told.entry(["harmless", "panic", "error"].into_iter().find(|known| *known == word).unwrap()).or_default() += 1;
    }
    println!("{told:?}");
    assert!(told["error"] > 10, "{told:?}");
    fs::remove_dir_all(&folder).unwrap();
}

/// A journal that ends too early, as one whose last blocks never reached a disk that said they had.
#[test]
fn a_journal_that_lost_its_end_says_so() {
    let folder = scratch("end");
    let mut journal = Journal::open(&folder, Durability::Process).unwrap();
    (0..5).for_each(|n| step(&mut journal, n, 100).unwrap());
    let before = files(&folder);
    (5..8).for_each(|n| step(&mut journal, n, 100).unwrap());
    let witness = files(&folder)["acknowledged"].clone();
    drop(journal);
    let earlier = |with: Option<(u64, Vec<u8>)>| {
        let mut files = before.clone();
        files.remove("acknowledged");
        files.extend(with.map(|file| ("acknowledged".to_owned(), file)));
        put(&files, &folder);
        Journal::open(&folder, Durability::Process)
    };
    let error = earlier(Some(witness)).err().expect("three steps are gone");
    assert!(error.to_string().contains("its last 3 steps"), "{error}");
    // What an operator decides to go on without, and what a power cut leaves of the witness.
    for with in [None, Some((16, vec![7; 16])), Some((4, vec![7; 4]))] {
        assert_eq!(look(&earlier(with).unwrap(), 8).unwrap().seen.len(), 5);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// A small disk of its own, in a namespace of its own, so that nothing else is full. It ends with its keeper.
struct Disk {
    keeper: Child,
    path: PathBuf,
}

impl Disk {
    fn new(mib: u32) -> Self {
        let place = scratch("disk");
        fs::create_dir_all(&place).unwrap();
        let script = format!("mount -t tmpfs -o size={mib}m tmpfs \"$1\" && echo mounted && exec cat");
        let mut keeper = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(&place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux)");
        let mut said = [0; 8];
        let mounted = std::io::Read::read_exact(keeper.stdout.as_mut().unwrap(), &mut said);
        assert!(mounted.is_ok() && &said == b"mounted\n", "no disk of its own: user namespaces must be allowed here");
        let inside = format!("/proc/{}/root", keeper.id());
        Self { path: Path::new(&inside).join(place.strip_prefix("/").unwrap()), keeper }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let disk = Disk::new(12);
    let (folder, ballast) = (disk.path.join("journal"), disk.path.join("ballast"));
    fs::write(&ballast, vec![1; 6 << 20]).unwrap();
    let mut journal = Journal::open(&folder, Durability::Disk).unwrap();
    let mut done = 0;
    let error = loop {
        match step(&mut journal, done, 50_000) {
            Ok(()) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 1_000, "the disk never was full");
    };
    assert!(matches!(error, JournalError::Disk(..)), "{error}");
    assert!(error.to_string().contains("see to the disk"), "{error}");
    // It goes on failing, and does not pretend.
    assert!(step(&mut journal, done, 50_000).is_err());
    drop(journal);
    fs::remove_file(&ballast).unwrap();
    let mut journal = Journal::open(&folder, Durability::Disk).unwrap();
    let known = |journal: &Journal| look(journal, done + 2).unwrap().seen.len() as u64;
    // Whether the step that failed is there is not known; all before it are.
    assert!((done..=done + 1).contains(&known(&journal)), "{} of {done}", known(&journal));
    assert!(done > 10, "{done}");
    step(&mut journal, done + 1, 50_000).unwrap();
    drop(journal);
    let journal = Journal::open(&folder, Durability::Disk).unwrap();
    assert!(journal.has_seen(u128::from(done + 1)));
}
