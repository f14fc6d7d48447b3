//! S8.4: the fields of payloads that people may see. What is not named here is never shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{Payloads, at_path, parts_of, word_of};
use crate::{model::ChainView, policy::Policy};

/// Most fields that one rule may name.
pub const MAX_SHOWN: usize = 16;

/// Longest name of a field, in bytes.
const MAX_NAME: usize = 128;

/// Longest value that is shown whole, in characters; of a longer one the beginning is, and that it was cut.
const MAX_VALUE: usize = 200;

/// Which message of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its request.
    Request,
    /// Its response.
    Response,
}

/// A field of a payload that may be shown: a text, a number or a flag. A list or a table is none, so that what is added to it
/// one day is not shown by an old rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownField {
    text: String,
    part: Part,
    path: Vec<String>,
}

impl ShownField {
    /// Reads `request.PATH` or `response.PATH`.
    ///
    /// # Errors
    /// Why it is neither.
    pub fn read(text: &str) -> Result<Self, String> {
        let (part, rest) = text.split_once('.').unwrap_or((text, ""));
        let part = match part {
            "request" => Part::Request,
            "response" => Part::Response,
            _ => {
                return Err(format!(
                    "`{text}` is no field of a payload: write `request.order_id` or `response.amount`"
                ));
            }
        };
        let path = parts_of(rest).map_err(|why| format!("`{text}` {why}"))?;
        if text.len() > MAX_NAME {
            return Err(format!("`{text}` has more than {MAX_NAME} bytes"));
        }
        if path.is_empty() {
            return Err(format!("`{text}` names no field: whole payloads are not shown, write `{text}.NAME`"));
        }
        Ok(Self { text: text.to_owned(), part, path })
    }
}

impl fmt::Display for ShownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Notes those of `fields` that a payload of the message `part` has, each under its name, as long as there is `room` for them, in
/// bytes.
pub fn note_shown(
    fields: &[ShownField],
    (part, type_url, value): (Part, &str, &[u8]),
    (types, room): (&Payloads, &mut usize),
    shown: &mut BTreeMap<String, String>,
) {
    let mut wanted = fields.iter().filter(|field| field.part == part).peekable();
    if wanted.peek().is_none() || *room == 0 {
        return;
    }
    let Some(whole) = types.read(type_url, value) else { return };
    let text_at = |field: &ShownField| at_path(&whole, &field.path).and_then(word_of).map(cut);
    for (field, text) in wanted.filter_map(|field| Some((field, text_at(field)?))) {
        let Some(left) = room.checked_sub(field.text.len() + text.len()) else {
            *room = 0;
            return;
        };
        *room = left;
        shown.insert(field.text.clone(), text);
    }
}

/// Takes out of a picture that was read from the bus what this agent's configuration does not let people see, whoever drew it.
/// Of a consumer's part in an event the picture does not say whose rule it was: there any rule's fields may be seen.
pub fn veil(view: &mut ChainView, policy: &Policy) {
    let catalogue = &policy.catalogue;
    for call in view.calls.iter_mut().filter(|call| !call.fields.is_empty()) {
        let own = catalogue.resolve(&policy.settings, &call.callee, &call.operation).show;
        let of_events = catalogue.rules.iter().filter(|_| call.event).filter_map(|rule| rule.show.as_ref()).flatten();
        let may: BTreeSet<&str> = own.iter().chain(of_events).map(|field| field.text.as_str()).collect();
        call.fields.retain(|name, _| may.contains(name.as_str()));
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        None => text,
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{MAX_VALUE, Part, ShownField, note_shown};
    use crate::policy::payloads::Payloads;

    #[test]
    fn only_what_is_named_is_shown_and_nothing_that_holds_more() {
        let fields =
            ["request.id", "response.id", "request.card", "request.lines.0.sku", "request.note", "request.gone"];
        let fields = fields.map(|text| ShownField::read(text).expect("a field"));
        let long = "x".repeat(MAX_VALUE + 1);
        let body = format!(
            r#"{{"id": 7, "card": {{"number": "4111"}}, "lines": [{{"sku": "tea", "cents": 3}}], "note": "{long}", "mail": "a@b"}}"#
        );
        let (mut shown, mut room, types) = (BTreeMap::new(), 300, Payloads::default());
        note_shown(&fields, (Part::Request, "", body.as_bytes()), (&types, &mut room), &mut shown);
        let cut = format!("{}… (201 bytes)", &long[1..]);
        let expected = [("request.id", "7"), ("request.lines.0.sku", "tea"), ("request.note", &cut)];
        assert_eq!(shown, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
        // What there is no room for is left out.
        shown.clear();
        note_shown(&fields, (Part::Request, "", body.as_bytes()), (&types, &mut room), &mut shown);
        assert_eq!(shown.keys().collect::<Vec<_>>(), ["request.id", "request.lines.0.sku"]);
    }

    #[test]
    fn what_is_no_field_says_why() {
        for (text, part) in [
            ("", "is no field"),
            ("attributes.user", "is no field"),
            ("request", "names no field"),
            ("request..id", "without a name"),
        ] {
            let error = ShownField::read(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
