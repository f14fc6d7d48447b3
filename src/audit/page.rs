//! Reading a page of the file: a piece of it, wherever it is, and never the whole.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::{Entry, log::MAX_LINE};

/// Entries that are read at once at most.
pub const MAX_PAGE: usize = 500;

/// What is read at once. A line fits.
const PIECE: u64 = MAX_LINE as u64;

/// Up to `limit` entries with numbers below `before`, the newest first; the second value says whether there are older ones.
/// Lines that cannot be read are left out: `countermand audit verify` names them.
///
/// # Errors
/// If the file cannot be read. That there is none is no error: nothing happened yet.
pub(super) fn newest(path: &Path, before: u64, limit: usize) -> io::Result<(Vec<Entry>, bool)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), false)),
        Err(error) => return Err(error),
    };
    let limit = limit.clamp(1, MAX_PAGE);
    let mut end = place_of(&mut file, before)?;
    let mut entries = Vec::new();
    let mut rest = Vec::new();
    while end > 0 && entries.len() <= limit {
        let begin = end.saturating_sub(PIECE);
        let mut piece = read(&mut file, begin, end)?;
        piece.append(&mut rest);
        // What stands before the first end of a line belongs to the piece before, unless that is the file's beginning.
        let whole =
            if begin == 0 { 0 } else { piece.iter().position(|&byte| byte == b'\n').map_or(piece.len(), |at| at + 1) };
        let lines = piece[whole..].split(|&byte| byte == b'\n').rev();
        entries.extend(lines.filter_map(entry).filter(|entry| entry.seq < before));
        piece.truncate(whole);
        // A line that is longer than a line can be is none.
        rest = if piece.len() > 2 * MAX_LINE { Vec::new() } else { piece };
        end = begin;
    }
    let older = entries.len() > limit;
    entries.truncate(limit);
    Ok((entries, older))
}

/// Where the first line stands whose number is not below `before`, or a little after it: numbers grow, so halves are looked
/// at. What cannot be read on the way is looked for in the later half.
fn place_of(file: &mut File, before: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut low, mut high) = (0, end);
    while high - low > 2 * PIECE {
        let middle = low + (high - low) / 2;
        let piece = read(file, middle, (middle + 2 * PIECE).min(high))?;
        // The first line that begins here.
        let first = piece.split(|&byte| byte == b'\n').skip(1).find_map(entry);
        match first {
            Some(first) if first.seq >= before => high = middle,
            _ => low = middle,
        }
    }
    // Up to the end of the line in which that is.
    let after = read(file, high, (high + PIECE).min(end))?;
    Ok(high + after.iter().position(|&byte| byte == b'\n').map_or(after.len(), |at| at + 1) as u64)
}

fn entry(line: &[u8]) -> Option<Entry> {
    serde_json::from_slice(line).ok()
}

/// The bytes from `begin` to `end`, as far as they are there.
fn read(file: &mut File, begin: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    Read::by_ref(file).take(end - begin).read_to_end(&mut bytes)?;
    Ok(bytes)
}
