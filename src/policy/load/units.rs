//! Lengths of time and amounts of memory as people write them: `200ms`, `1.5s`, `24h`, `512KiB`.

use crate::model::Span;

/// Longest time that a setting takes: ten years. Above it sums of bus time and settings would lose their meaning.
pub(super) const MAX_SPAN: Span = Span::hours(87_600);

const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads a length of time: a number and one of `ms`, `s`, `m`, `h`. `"1.5s"` is 1,500 ms.
///
/// # Errors
/// A sentence that says what is wrong and what to write: no unit, an unknown one, finer than a millisecond, or longer
/// than ten years.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let millis = amount(text, &TIMES, "a length of time", "`200ms`, `1.5s`, `1m`, `24h`")?
        .ok_or_else(|| format!("`{text}` is finer than a millisecond: write whole milliseconds"))?;
    match Span(millis) {
        span if span > MAX_SPAN => Err(format!("`{text}` is longer than ten years: write at most `87600h`")),
        span => Ok(span),
    }
}

/// Reads an amount of memory: a number and one of `B`, `KiB`, `MiB`, `GiB`.
///
/// # Errors
/// A sentence that says what is wrong and what to write.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    amount(text, &SIZES, "an amount of memory", "`512KiB`, `64MiB`, `1GiB`")?
        .ok_or_else(|| format!("`{text}` is no whole number of bytes"))
}

/// An amount of memory as [`parse_bytes`] reads it, in the largest unit that divides it.
pub(super) fn show_bytes(bytes: u64) -> String {
    let (unit, size) =
        SIZES.iter().rev().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)).unwrap_or(&SIZES[0]);
    format!("{}{unit}", bytes / size)
}

/// `text` in the smallest unit; `None` if that is no whole number.
fn amount(text: &str, units: &[(&str, u64)], what: &str, examples: &str) -> Result<Option<u64>, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let no_number = whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.contains('.');
    if no_number || fraction.len() > 9 {
        return Err(format!("`{text}` is not {what}: write a number and a unit, such as {examples}"));
    }
    let Some((_, size)) = units.iter().find(|(name, _)| *name == unit) else {
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        return Err(if unit.is_empty() {
            format!("`{text}` has no unit: write one of {names}, such as `{text}{}`", units[1].0)
        } else {
            format!("`{}` is no unit of {what}: write one of {names}, such as {examples}", unit.trim())
        });
    };
    let too_large = || format!("`{text}` is too large");
    let whole = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(*size)).ok_or_else(too_large)?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or(0));
    // At most nine digits times a unit of at most 2^30: below 2^60.
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().map_err(|_| too_large())? * size };
    if part % scale != 0 {
        return Ok(None);
    }
    whole.checked_add(part / scale).map(Some).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::{Span, parse_bytes, parse_span, show_bytes};

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(parse_span("1.5s"), Ok(Span::millis(1_500)));
        assert_eq!(parse_span("0.001s"), Ok(Span::millis(1)));
        assert_eq!(parse_span("87600h"), Ok(Span::hours(87_600)));
        for wrong in ["", "s", ".5s", "1.s", "1.2.3s", "-1s", "1 s", "1h30m", "1d", "200", "0.5ms", "87601h"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
        assert!(parse_span("99999999999999999999h").is_err());
        assert_eq!(parse_bytes("1.5KiB"), Ok(1_536));
        assert_eq!(parse_bytes("0.999999999GiB").ok(), None);
        assert!(parse_bytes("1KB").is_err());
        for bytes in [0, 1, 1_000, 1_024, 3 << 20, 1 << 30] {
            assert_eq!(parse_bytes(&show_bytes(bytes)), Ok(bytes));
        }
    }
}
