//! `google.protobuf.Timestamp` and `Duration` in JSON: RFC 3339 in UTC, and seconds with an `s`.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
    ser::Error as _,
};

use crate::wire::{
    check::{FIRST_SECOND, LAST_NANO, LAST_SECOND},
    proto::{Duration, Timestamp},
};

/// Largest protobuf duration: about 10,000 years.
const LAST_DURATION_SECOND: i64 = 315_576_000_000;

const SECONDS_A_DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01. Years are counted from March, so that a leap day is the last of its year.
const EPOCH_DAY: i64 = 719_468;
/// Days of 400 years: after that the calendar repeats.
const ERA_DAYS: i64 = 146_097;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !(FIRST_SECOND..=LAST_SECOND).contains(&self.seconds) || !(0..=LAST_NANO).contains(&self.nanos) {
            return Err(S::Error::custom("a timestamp outside of the years 1 to 9999 cannot be written as JSON"));
        }
        let (year, month, day) = date_of(self.seconds.div_euclid(SECONDS_A_DAY));
        let second = self.seconds.rem_euclid(SECONDS_A_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let fraction = Fraction(self.nanos);
        to.collect_str(&format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor { expected: "a time as in RFC 3339", read: read_timestamp })
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { seconds, nanos } = *self;
        let mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
        if mixed || seconds.abs() > LAST_DURATION_SECOND || nanos.abs() > LAST_NANO {
            return Err(S::Error::custom("a duration outside of protobuf's range cannot be written as JSON"));
        }
        let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
        to.collect_str(&format_args!("{sign}{}{}s", seconds.abs(), Fraction(nanos.abs())))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor { expected: "a duration such as \"1.5s\"", read: read_duration })
    }
}

/// Nanoseconds behind a decimal point, in as many groups of three digits as they need.
struct Fraction(i32);

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            nanos if nanos % 1_000_000 == 0 => write!(f, ".{:03}", nanos / 1_000_000),
            nanos if nanos % 1000 == 0 => write!(f, ".{:06}", nanos / 1000),
            nanos => write!(f, ".{nanos:09}"),
        }
    }
}

struct TextVisitor<T> {
    expected: &'static str,
    read: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

/// `1.5s`: a sign, seconds, up to nine digits behind the point.
fn read_duration(text: &str) -> Option<Duration> {
    let text = text.strip_suffix('s')?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let seconds = digits(whole.as_bytes()).filter(|&seconds| seconds <= LAST_DURATION_SECOND)?;
    let nanos = fraction.map_or(Some(0), |fraction| nanos(fraction.as_bytes()))?;
    Some(if negative { Duration { seconds: -seconds, nanos: -nanos } } else { Duration { seconds, nanos } })
}

/// `2026-01-02T03:04:05.678Z`, or with an offset such as `+02:00` for the `Z`.
fn read_timestamp(text: &str) -> Option<Timestamp> {
    let (head, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let marks = [head[4], head[7], head[10].to_ascii_uppercase(), head[13], head[16]];
    if marks != *b"--T::" {
        return None;
    }
    let (year, month, day) = (digits(&head[..4])?, digits(&head[5..7])?, digits(&head[8..10])?);
    let (hour, minute, second) = (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..])?);
    if year == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = day_of(year, month, day)?;
    let (nanos, zone) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let end = rest.iter().position(|c| !c.is_ascii_digit())?;
            (nanos(&rest[..end])?, &rest[end..])
        }
        None => (0, rest),
    };
    let seconds = days * SECONDS_A_DAY + hour * 3600 + minute * 60 + second - offset(zone)?;
    (FIRST_SECOND..=LAST_SECOND).contains(&seconds).then_some(Timestamp { seconds, nanos })
}

/// Seconds that a zone is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    if matches!(zone, b"Z" | b"z") {
        return Some(0);
    }
    let [sign, hours @ .., b':', m1, m2] = zone else { return None };
    let (hours, minutes) = (digits(hours)?, digits(&[*m1, *m2])?);
    if zone.len() != 6 || hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = hours * 3600 + minutes * 60;
    match sign {
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

/// A number of 1 to 18 digits.
fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0, |sum, c| c.is_ascii_digit().then(|| sum * 10 + i64::from(c - b'0')))
}

/// Nanoseconds from 1 to 9 digits behind a point.
fn nanos(fraction: &[u8]) -> Option<i32> {
    let value = i32::try_from(digits(fraction)?).ok()?;
    let missing = 9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    Some(value * 10_i32.pow(missing))
}

/// Day of a date, counted from 1970; `None` if there is no such date.
fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // From March: its year, and the days of it that have passed. The months from March on have 31, 30, 31, 30, 31 days
    // over and over, which is 153 days for five; the fraction rounds to where they begin.
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    let days = year.div_euclid(400) * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
        - EPOCH_DAY;
    // A day that its month does not have is one of the next month.
    (date_of(days).2 == day).then_some(days)
}

/// Year, month and day of a day counted from 1970.
fn date_of(day: i64) -> (i64, i64, i64) {
    let day = day + EPOCH_DAY;
    let day_of_era = day.rem_euclid(ERA_DAYS);
    // Days without the leap days before them, so that every year has 365: one leap day in 1,461 days, none in a
    // century's 36,524, and one after all at the end of the era.
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = day.div_euclid(ERA_DAYS) * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_month)
}
