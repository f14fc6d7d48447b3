//! Recordings are read whatever their compression, never stop at a bad line, and come back as they were written.

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use countermand::{
    model::{BusTime, Handled, Input},
    recording::{BadLine, BadReason, Body, Entry, Format, Line, ReadError, Reader, Writer},
    wire::{WireLimits, proto::ResultState},
};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/declined-card.jsonl")
}

fn entries(reader: Reader) -> Vec<Entry> {
    reader
        .map(|line| match line {
            Ok(Line::Entry(entry)) => entry,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// What can be read, what cannot, and the error that ended it.
fn read(bytes: Vec<u8>, limit: usize) -> (Vec<Entry>, Vec<BadLine>, Option<ReadError>) {
    let (mut good, mut bad, mut end) = (Vec::new(), Vec::new(), None);
    for line in Reader::new("test", Cursor::new(bytes)).unwrap().line_limit(limit) {
        assert!(end.is_none(), "nothing follows an error");
        match line {
            Ok(Line::Entry(entry)) => good.push(entry),
            Ok(Line::Bad(line)) => bad.push(line),
            Err(error) => end = Some(error),
        }
    }
    (good, bad, end)
}

fn compress(text: &[u8], format: Format) -> Vec<u8> {
    match format {
        Format::Plain => text.to_vec(),
        Format::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        Format::Zstd => zstd::encode_all(text, 0).unwrap(),
    }
}

#[test]
fn every_kind_of_line_is_read() {
    let entries = entries(Reader::open(&fixture()).unwrap());
    assert_eq!(entries.len(), 10);
    let first = &entries[0];
    assert_eq!(first.at, Some(BusTime(1_767_323_045_000)));
    assert_eq!((first.topic.as_deref(), first.partition, first.offset), (Some("orders"), Some(2), Some(17)));
    assert_eq!(entries[1].at, Some(BusTime(1_767_323_045_005)), "below a millisecond it is floored");
    assert!(matches!(&entries[7].body, Some(Body::DeadLetter { handled: Handled::No, .. })));
    let Some(Body::CommandResult(result)) = &entries[6].body else { panic!("{:?}", entries[6]) };
    assert_eq!(result.state(), ResultState::Done);
    assert!(matches!(&entries[8].body, Some(Body::Operation(_))));
    assert_eq!(entries[9].body, None, "only time passes");
    for body in entries.iter().filter_map(|entry| entry.body.as_ref()) {
        let input = body.input(&WireLimits::default()).unwrap();
        assert!(!matches!(input, Input::Published(_)));
    }
}

#[test]
fn compression_is_found_by_the_first_bytes() {
    let text = fs::read(fixture()).unwrap();
    let expected = entries(Reader::open(&fixture()).unwrap());
    for format in [Format::Plain, Format::Gzip, Format::Zstd] {
        let bytes = compress(&text, format);
        // Two members one after the other are one text.
        let (good, bad, end) = read([bytes.clone(), bytes].concat(), 1000);
        assert_eq!((good, bad.len(), end.is_none()), ([&expected[..], &expected[..]].concat(), 0, true), "{format:?}");
    }
}

/// Some editors put a mark before the first line, and some files are not what their names say.
#[test]
fn a_byte_order_mark_costs_no_line_and_a_false_name_is_an_error() {
    let text = fs::read(fixture()).unwrap();
    let expected = entries(Reader::open(&fixture()).unwrap());
    let marked = [&b"\xef\xbb\xbf"[..], &text].concat();
    for format in [Format::Plain, Format::Gzip] {
        let (good, bad, end) = read(compress(&marked, format), 1_000_000);
        assert_eq!((&good, bad.len(), end.is_none()), (&expected, 0, true), "{format:?}");
    }
    for name in ["plain.jsonl.gz", "plain.jsonl.zst"] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, &text).unwrap();
        let error = Reader::open(&path).err().expect("it is refused").to_string();
        assert!(error.contains("this is named like") && error.contains("is none"), "{error}");
        // What it is can be told by its first bytes, so another compression does no harm.
        fs::write(&path, compress(&text, Format::Gzip)).unwrap();
        assert_eq!(entries(Reader::open(&path).unwrap()), expected);
    }
}

#[test]
fn what_came_before_the_break_of_a_file_is_kept() {
    // Long enough for several blocks, with lines that don't compress to nothing.
    let mut text = Vec::new();
    let mut random = 1_u32;
    for n in 0..40_000_u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(text, "{{\"at\":\"2026-01-02T03:04:05Z\",\"topic\":\"{n}-{random}\"}}").unwrap();
    }
    for format in [Format::Gzip, Format::Zstd] {
        let mut bytes = compress(&text, format);
        bytes.truncate(bytes.len() * 9 / 10);
        let (good, bad, end) = read(bytes, 1000);
        assert!(good.len() > 20_000, "{format:?}: {}", good.len());
        assert_eq!(
            good.last().unwrap().topic.as_deref().unwrap().split('-').next(),
            Some(&*(good.len() - 1).to_string())
        );
        let error = end.expect("the break is reported");
        assert!(error.to_string().contains("ends in the middle"), "{error}");
        for line in &bad {
            assert_eq!((&line.reason, line.line_number), (&BadReason::CutOff, good.len() as u64 + 1));
        }
        assert_eq!(error.lines, good.len() as u64);
    }
}

#[test]
fn a_bad_line_is_given_out_and_reading_goes_on() {
    let text = concat!(
        "{\"at\":\"2026-01-02T03:04:05Z\"}\n",
        "\n",
        "{\"at\":\"2026-01-02T03:04:05Z\",\"when\":1}\r\n",
        "{}\n",
        "{\"envelope\":{},\"operation\":{}}\n",
        "[]\n",
        "{\"dead_letter\":{\"chainId\":\"c\",\"handled\":\"perhaps\"}}\n",
        "\u{0}\n",
        "{\"topic\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}\n",
        "{\"at\":\"2026-01-02T03:04:06Z\"}",
    );
    let (good, bad, end) = read(text.as_bytes().to_vec(), 64);
    assert!(end.is_none());
    assert_eq!(good.iter().map(|entry| entry.at.unwrap().0 % 10_000).collect::<Vec<_>>(), [5000, 6000]);
    let found: Vec<_> = bad.iter().map(|line| (line.line_number, line.reason.word())).collect();
    let expected = [
        (3, "malformed_json"),
        (4, "empty_entry"),
        (5, "several_messages"),
        (6, "malformed_json"),
        (7, "malformed_json"),
        (8, "malformed_json"),
        (9, "line_too_long"),
    ];
    assert_eq!(found, expected);
    assert!(bad[0].reason.to_string().contains("unknown field `when`"), "{}", bad[0].reason);
    assert!(bad[4].reason.to_string().contains("`handled` is \"perhaps\""), "{}", bad[4].reason);
    assert_eq!(bad[6].raw.len(), 64);
}

#[test]
fn a_missing_file_and_a_folder_say_so() {
    let missing = Reader::open(Path::new("no/such/file.jsonl")).err().unwrap();
    assert!(missing.to_string().starts_with("no/such/file.jsonl: "), "{missing}");
    assert!(Reader::open(Path::new(env!("CARGO_MANIFEST_DIR"))).is_err());
}

#[test]
fn what_was_written_reads_the_same() {
    let expected = entries(Reader::open(&fixture()).unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recording");
    fs::create_dir_all(&folder).unwrap();
    let magic: [(&str, &[u8]); 3] =
        [("a.jsonl", b"{\"at"), ("a.jsonl.gz", &[0x1f, 0x8b]), ("a.jsonl.zst", &[0x28, 0xb5])];
    for (name, magic) in magic {
        let path = folder.join(name);
        let mut writer = Writer::create(&path).unwrap();
        for (n, entry) in expected.iter().enumerate() {
            writer.write(entry).unwrap();
            if n == 4 {
                writer.flush().unwrap();
                let (good, _, _) = read(fs::read(&path).unwrap(), 1000);
                assert_eq!(good, expected[..5], "{name}: what was flushed can be read");
            }
        }
        writer.finish().unwrap();
        assert!(fs::read(&path).unwrap().starts_with(magic), "{name}");
        assert_eq!(entries(Reader::open(&path).unwrap()), expected, "{name}");
    }
}
