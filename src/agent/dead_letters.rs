//! Refused input: the original bytes, key and headers, with why it was refused and where it came from (S8.2).

pub use crate::bus::headers::{DETAIL, LEFT_OUT, ORIGIN, REASON};
use crate::bus::{Outgoing, Record};

/// The dead letter for `record`, at most `largest` bytes: of one that is larger the payload is left out, and `ORIGIN`
/// says where it is.
#[must_use]
pub fn dead_letter(topic: &str, record: &Record, reason: &str, detail: &str, largest: usize) -> Outgoing {
    let ours = |name: &str| [REASON, DETAIL, ORIGIN, LEFT_OUT].contains(&name);
    let kept = record.headers.iter().filter(|(name, _)| !ours(name));
    let mut headers: Vec<(String, Option<Vec<u8>>)> =
        kept.map(|(name, value)| (name.clone(), value.as_ref().map(|value| value.to_vec()))).collect();
    headers.push((REASON.to_owned(), Some(reason.into())));
    if !detail.is_empty() {
        headers.push((DETAIL.to_owned(), Some(detail.into())));
    }
    headers.push((ORIGIN.to_owned(), Some(record.origin().into_bytes())));
    let mut letter = Outgoing {
        topic: topic.to_owned(),
        partition: None,
        key: record.key.as_ref().map(|key| key.to_vec()),
        payload: record.payload.as_ref().map(|payload| payload.to_vec()),
        headers,
    };
    if letter.size() > largest {
        let bytes = letter.payload.take().map_or(0, |payload| payload.len());
        letter.headers.push((LEFT_OUT.to_owned(), Some(bytes.to_string().into_bytes())));
    }
    if letter.size() > largest {
        letter.headers.retain(|(name, _)| ours(name));
        letter.key = None;
    }
    letter
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{LEFT_OUT, dead_letter};
    use crate::bus::{Record, Stamp};

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        let record = Record {
            topic: "in".into(),
            partition: 3,
            offset: 9,
            stamp: Stamp::Missing,
            key: Some(Bytes::from_static(b"k")),
            headers: vec![("own".to_owned(), None), ("countermand-reason".to_owned(), None)],
            payload: Some(Bytes::from(vec![7; 5_000])),
        };
        let whole = dead_letter("dead", &record, "malformed", "why", 1 << 20);
        let names: Vec<&str> = whole.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["own", "countermand-reason", "countermand-detail", "countermand-origin"]);
        assert_eq!(whole.headers[3].1.as_deref(), Some(&b"in/3/9"[..]));
        assert_eq!(whole.payload.as_deref(), Some(&[7; 5_000][..]));
        let cut = dead_letter("dead", &record, "malformed", "why", 1_000);
        assert_eq!(cut.payload, None);
        assert_eq!(cut.headers.last(), Some(&(LEFT_OUT.to_owned(), Some(b"5000".to_vec()))));
    }
}
