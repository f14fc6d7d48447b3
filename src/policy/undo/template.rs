//! Texts with fields in them: what a message says to a service that does not know our commands.
//!
//! A template whose text is a JSON object or list stays one whatever is put into it: only its strings hold fields, and a
//! string that is nothing but one field becomes that field's value, a number a number. So no value from a message can add to
//! it, or end it early. Any other text is taken as it is, with the fields in it written out.

use std::fmt;

use serde_json::{Map, Value};

use crate::policy::payloads::parts_of;

/// Longest text of a template, in bytes.
const MAX_BYTES: usize = 16 << 10;

/// What a field of a template stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `chain_id`: the chain.
    Chain,
    /// `call_id`: the call that is undone.
    Call,
    /// `command_id`: the command's id, the same whenever it is sent again.
    Command,
    /// `correlation`: what a reply brings back, so that it is known whose answer it is.
    Correlation,
    /// `replies`: the topic or queue in which the agent reads replies.
    Replies,
    /// `service`: who shall act.
    Service,
    /// `version`: its version that made the effect; may be empty.
    Version,
    /// `operation`: what was called.
    Operation,
    /// `undo`: the operation that undoes it.
    Undo,
    /// `idempotency_key`: that of the call; may be empty.
    IdempotencyKey,
    /// `certainty`: `applied` or `in_doubt`.
    Certainty,
    /// `verdict`: why, in a sentence.
    Verdict,
    /// `attributes.NAME`: an attribute of the request that `engine.attributes` names.
    Attribute(String),
    /// `request` or `request.PATH`: of the request's payload.
    Request(Vec<String>),
    /// `response` or `response.PATH`: of the response's payload.
    Response(Vec<String>),
}

/// The fields that have no name of their own behind them.
const PLAIN: [(&str, Source); 12] = [
    ("chain_id", Source::Chain),
    ("call_id", Source::Call),
    ("command_id", Source::Command),
    ("correlation", Source::Correlation),
    ("replies", Source::Replies),
    ("service", Source::Service),
    ("version", Source::Version),
    ("operation", Source::Operation),
    ("undo", Source::Undo),
    ("idempotency_key", Source::IdempotencyKey),
    ("certainty", Source::Certainty),
    ("verdict", Source::Verdict),
];

impl Source {
    fn read(text: &str) -> Result<Self, String> {
        if let Some((_, source)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(source.clone());
        }
        let (of, rest) = text.split_once('.').unwrap_or((text, ""));
        let fault = |why: String| format!("`{{{text}}}` {why}");
        match of {
            "attributes" if !rest.is_empty() => Ok(Self::Attribute(rest.to_owned())),
            "request" => Ok(Self::Request(parts_of(rest).map_err(fault)?)),
            "response" => Ok(Self::Response(parts_of(rest).map_err(fault)?)),
            _ => {
                let known = PLAIN.map(|(name, _)| name).join(", ");
                Err(format!(
                    "`{{{text}}}` is no field: there are {known}, attributes.NAME, request.PATH and response.PATH; `{{{{` \
                     stands for a brace"
                ))
            }
        }
    }
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    /// `may_lack`: it ends with `?`, so that nothing stands there where the field has no value.
    Field {
        name: String,
        source: Source,
        may_lack: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Fixed(Value),
    Text(Vec<Part>),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Text(Vec<Part>),
    Json(Node),
}

/// A template, read and known to be sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    shape: Shape,
}

/// What a template says, with the values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filled {
    /// A text.
    Text(String),
    /// JSON.
    Json(Value),
}

impl Filled {
    /// The bytes of it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Json(value) => value.to_string().into_bytes(),
        }
    }
}

/// A field has no value, and does not say that it may lack one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking(pub String);

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no value for {{{}}}", self.0)
    }
}

impl Node {
    /// The texts in it.
    fn texts(&self) -> Vec<&[Part]> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Text(parts) => vec![parts],
            Self::List(nodes) => nodes.iter().flat_map(Self::texts).collect(),
            Self::Table(entries) => entries.iter().flat_map(|(_, node)| node.texts()).collect(),
        }
    }
}

impl Template {
    /// The attributes that it names.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let texts = match &self.shape {
            Shape::Text(parts) => vec![parts.as_slice()],
            Shape::Json(node) => node.texts(),
        };
        texts.into_iter().flatten().filter_map(|part| match part {
            Part::Field { source: Source::Attribute(name), .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// Reads a template: JSON if it begins as an object or a list, else a text.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it. It has 16 KiB at most.
    pub fn json_or_text(text: &str) -> Result<Self, String> {
        // A text whose first field is at its very beginning is no JSON: there a quote or an end follows the brace.
        let trimmed = text.trim_start();
        let opens = |c: char| trimmed.strip_prefix(c).map(str::trim_start);
        let object = opens('{').is_some_and(|rest| rest.starts_with(['"', '}']));
        if !object && opens('[').is_none() {
            return Self::text(text);
        }
        let text = bounded(text)?;
        let value: Value = serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))?;
        Ok(Self { text: text.to_owned(), shape: Shape::Json(Node::read(value)?) })
    }

    /// Reads a template of a text.
    ///
    /// # Errors
    /// As [`Template::json_or_text`].
    pub fn text(text: &str) -> Result<Self, String> {
        Ok(Self { text: bounded(text)?.to_owned(), shape: Shape::Text(parts(text)?) })
    }

    /// The template as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.text
    }

    /// Whether it becomes JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.shape, Shape::Json(_))
    }

    /// Fills it in; `value` knows what a field stands for, and gives `None` or `null` where there is nothing.
    ///
    /// # Errors
    /// The first field that has no value and must have one.
    pub fn fill(&self, value: &mut dyn FnMut(&Source) -> Option<Value>) -> Result<Filled, Lacking> {
        match &self.shape {
            Shape::Text(parts) => text_of(parts, value).map(Filled::Text),
            Shape::Json(node) => node.fill(value).map(|value| Filled::Json(value.unwrap_or(Value::Null))),
        }
    }
}

fn bounded(text: &str) -> Result<&str, String> {
    match text.len() {
        0 => Err("a template cannot be empty".to_owned()),
        1..=MAX_BYTES => Ok(text),
        bytes => Err(format!("a template has at most {MAX_BYTES} bytes, not {bytes}")),
    }
}

impl Node {
    /// The parser bounds the depth.
    fn read(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(parts(&text)?),
            Value::Array(items) => Self::List(items.into_iter().map(Self::read).collect::<Result<_, _>>()?),
            Value::Object(table) => {
                let entry = |(key, value)| Ok((key, Self::read(value)?));
                Self::Table(table.into_iter().map(entry).collect::<Result<_, String>>()?)
            }
            fixed => Self::Fixed(fixed),
        })
    }

    /// `None`: a field that may lack its value does.
    fn fill(&self, value: &mut dyn FnMut(&Source) -> Option<Value>) -> Result<Option<Value>, Lacking> {
        Ok(Some(match self {
            Self::Fixed(fixed) => fixed.clone(),
            Self::Text(parts) => match parts.as_slice() {
                [Part::Field { name, source, may_lack }] => match known(source, value) {
                    None if *may_lack => return Ok(None),
                    None => return Err(Lacking(name.clone())),
                    Some(value) => value,
                },
                parts => Value::String(text_of(parts, value)?),
            },
            Self::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(item.fill(value)?);
                }
                Value::Array(list)
            }
            Self::Table(entries) => {
                let mut table = Map::new();
                for (key, node) in entries {
                    table.extend(node.fill(value)?.map(|value| (key.clone(), value)));
                }
                Value::Object(table)
            }
        }))
    }
}

fn known(source: &Source, value: &mut dyn FnMut(&Source) -> Option<Value>) -> Option<Value> {
    value(source).filter(|value| !value.is_null())
}

fn text_of(parts: &[Part], value: &mut dyn FnMut(&Source) -> Option<Value>) -> Result<String, Lacking> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Plain(plain) => text.push_str(plain),
            Part::Field { name, source, may_lack } => match known(source, value) {
                None if *may_lack => {}
                None => return Err(Lacking(name.clone())),
                Some(Value::String(value)) => text.push_str(&value),
                Some(value) => text.push_str(&value.to_string()),
            },
        }
    }
    Ok(text)
}

/// The parts of a text: fields stand in braces, a doubled brace for one.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut plain) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(doubled) = after.strip_prefix(brace) {
            plain.push_str(brace);
            rest = doubled;
            continue;
        }
        let Some((inside, behind)) = after.split_once('}').filter(|_| brace == "{") else {
            let fault = if brace == "{" { "is never closed" } else { "closes nothing" };
            return Err(format!("a brace {fault}: write `{brace}{brace}` for a brace itself"));
        };
        let name = inside.trim();
        let (name, may_lack) = name.strip_suffix('?').map_or((name, false), |name| (name.trim_end(), true));
        if !plain.is_empty() {
            parts.push(Part::Plain(std::mem::take(&mut plain)));
        }
        parts.push(Part::Field { name: name.to_owned(), source: Source::read(name)?, may_lack });
        rest = behind;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Filled, Lacking, Source, Template};
    use crate::policy::payloads::at_path;

    fn value(source: &Source) -> Option<Value> {
        let response = json!({"order": {"id": "a\", \"admin\": true, \"x\": \"", "lines": [{"n": 7}]}, "none": null});
        match source {
            Source::Chain => Some(json!("c-1")),
            Source::Response(path) => at_path(&response, path).cloned(),
            _ => None,
        }
    }

    #[test]
    fn a_value_stays_a_value_whatever_it_holds() {
        let template = Template::json_or_text(
            r#"{"id": "{response.order.id}", "n": "{response.order.lines.0.n}", "why": "undo of {chain_id} {{n}}: {response.order.lines.0.n}",
                "note": "{response.none?}", "fixed": [1, true, "{response.gone?}"]}"#,
        )
        .unwrap();
        let Ok(Filled::Json(filled)) = template.fill(&mut value) else { panic!("{template:?}") };
        let expected =
            json!({"id": "a\", \"admin\": true, \"x\": \"", "n": 7, "why": "undo of c-1 {n}: 7", "fixed": [1, true]});
        assert_eq!(filled, expected);
    }

    #[test]
    fn a_text_is_filled_in_and_what_lacks_is_named() {
        let text = Template::json_or_text("{chain_id};CANCEL;{response.order.lines.0.n};{response.none?}").unwrap();
        assert_eq!(text.fill(&mut value), Ok(Filled::Text("c-1;CANCEL;7;".to_owned())));
        let lacking = Template::text("x{response.order.gone}").unwrap();
        assert_eq!(lacking.fill(&mut value), Err(Lacking("response.order.gone".to_owned())));
        let whole = Template::text("{response.order.lines}").unwrap();
        assert_eq!(whole.fill(&mut value), Ok(Filled::Text(r#"[{"n":7}]"#.to_owned())));
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, part) in [
            ("", "empty"),
            ("{chain", "never closed"),
            ("chain}", "closes nothing"),
            ("{chain}", "is no field"),
            ("{attributes}", "is no field"),
            ("{response..id}", "without a name"),
            (r#"{"id": }"#, "no JSON"),
            (r#"{"id": "{nothing}"}"#, "is no field"),
        ] {
            let error = Template::json_or_text(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(Template::text(&"x".repeat(16_385)).is_err());
    }
}
