//! What is inside payloads: by the types that the operator knows, or as JSON where it is that.

mod path;
mod shown;

pub use path::{at_path, parts_of, word_of};
pub use shown::{MAX_SHOWN, Part, ShownField, note_shown, veil};

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, Kind, MapKey, ReflectMessage as _, SerializeOptions,
    prost::Message as _,
    prost_types::{FileDescriptorProto, FileDescriptorSet},
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::hex;

/// Largest set of descriptors, in bytes.
pub const MAX_DESCRIPTOR_BYTES: usize = 16 << 20;

/// The types that are known: the well-known ones, and those of the operator's descriptor sets.
#[derive(Clone)]
pub struct Payloads {
    pool: DescriptorPool,
    /// What tells it from others.
    identity: String,
}

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Payloads").field(&self.identity).finish()
    }
}

impl PartialEq for Payloads {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Payloads {}

impl Default for Payloads {
    fn default() -> Self {
        Self { pool: DescriptorPool::global(), identity: String::new() }
    }
}

impl Payloads {
    /// Adds the types of a `FileDescriptorSet`, as `protoc --include_imports --descriptor_set_out` and `buf build` write it.
    ///
    /// # Errors
    /// Why it is none, or does not go with those before it. It has 16 MiB at most.
    pub fn add(&mut self, set: &[u8]) -> Result<(), String> {
        if set.len() > MAX_DESCRIPTOR_BYTES {
            return Err(format!("it has more than {MAX_DESCRIPTOR_BYTES} bytes"));
        }
        let decoded =
            FileDescriptorSet::decode(set).map_err(|error| format!("it is no set of descriptors: {error}"))?;
        // Two sets may share imports, and the well-known types are there already.
        let is_new = |file: &FileDescriptorProto| self.pool.get_file_by_name(file.name()).is_none();
        let new: Vec<_> = decoded.file.into_iter().filter(is_new).collect();
        if let Some(missing) = self.missing(&new) {
            return Err(format!("it lacks {missing:?}: write it with all imports"));
        }
        self.pool.add_file_descriptor_protos(new).map_err(|error| error.to_string())?;
        self.identity.push_str(&hex(&Sha256::digest(set)));
        Ok(())
    }

    fn missing(&self, files: &[FileDescriptorProto]) -> Option<String> {
        let there =
            |name: &str| files.iter().any(|file| file.name() == name) || self.pool.get_file_by_name(name).is_some();
        files.iter().flat_map(|file| &file.dependency).find(|name| !there(name)).cloned()
    }

    /// Whether messages of this name are known.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.pool.get_message_by_name(name).is_some()
    }

    /// A payload as JSON, with the names of fields as in their `.proto` and every number a number. An `Any` inside it is not
    /// looked into. `None`: its type is not known, it is not what it says, or it is deeper or larger than its limits.
    #[must_use]
    pub fn read(&self, type_url: &str, bytes: &[u8]) -> Option<Value> {
        let name = type_url.rsplit('/').next().unwrap_or_default();
        let Some(descriptor) = self.pool.get_message_by_name(name).filter(|_| !name.is_empty()) else {
            return is_json(bytes).then(|| serde_json::from_slice(bytes).ok()).flatten();
        };
        let message = DynamicMessage::decode(descriptor, bytes).ok()?;
        Walk { left: MAX_VALUES }.message(&message, MAX_DEPTH)
    }

    /// JSON as a message of this name.
    ///
    /// # Errors
    /// Why it is none, in words that say nothing of what stands in it: they are shown to people (S8.4).
    pub fn write(&self, name: &str, value: &Value) -> Result<Vec<u8>, String> {
        let descriptor =
            self.pool.get_message_by_name(name).ok_or_else(|| format!("no descriptor set knows {name:?}"))?;
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let read = |value: &Value| DynamicMessage::deserialize_with_options(descriptor.clone(), value, &options);
        read(value).map(|message| message.encode_to_vec()).map_err(|_| {
            let alone = |(key, value): (&String, &Value)| Value::Object(Map::from_iter([(key.clone(), value.clone())]));
            let mut fields = value.as_object().into_iter().flatten();
            let bad = fields.find(|field| read(&alone(*field)).is_err()).map(|(key, _)| key);
            let known = |key: &String| descriptor.get_field_by_name(key).or(descriptor.get_field_by_json_name(key));
            match bad.map(known) {
                Some(Some(field)) => {
                    format!("it is no {name}: what stands in `{}` is none of that field", field.name())
                }
                Some(None) => format!("it is no {name}: it has a field that is not known there"),
                None => format!("it is no {name}"),
            }
        })
    }
}

/// Messages inside messages that are looked into.
const MAX_DEPTH: usize = 32;

/// Values of one payload: what takes two bytes in it may be a table of many here.
const MAX_VALUES: usize = 50_000;

/// Turns a message into JSON within limits: what a payload holds is up to whoever sent it.
struct Walk {
    left: usize,
}

impl Walk {
    fn message(&mut self, message: &DynamicMessage, depth: usize) -> Option<Value> {
        let descriptor = message.descriptor();
        match descriptor.full_name() {
            // One inside the other has no depth that decoding would bound.
            "google.protobuf.Any" => return None,
            name if name.starts_with("google.protobuf.") => {
                self.take()?;
                let options = SerializeOptions::new().stringify_64_bit_integers(false);
                return message.serialize_with_options(serde_json::value::Serializer, &options).ok();
            }
            _ => {}
        }
        let depth = depth.checked_sub(1)?;
        let mut table = Map::new();
        for field in descriptor.fields() {
            // What is not there has its default, but for what can be told from it.
            if field.supports_presence() && !message.has_field(&field) {
                continue;
            }
            let is_any = matches!(field.kind(), Kind::Message(of) if of.full_name() == "google.protobuf.Any");
            if !is_any {
                let value = self.value(&message.get_field(&field), &field.kind(), depth)?;
                table.insert(field.name().to_owned(), value);
            }
        }
        Some(Value::Object(table))
    }

    fn take(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    fn value(&mut self, value: &prost_reflect::Value, kind: &Kind, depth: usize) -> Option<Value> {
        use prost_reflect::Value as Given;
        self.take()?;
        Some(match value {
            Given::Bool(flag) => Value::from(*flag),
            Given::I32(number) => Value::from(*number),
            Given::I64(number) => Value::from(*number),
            Given::U32(number) => Value::from(*number),
            Given::U64(number) => Value::from(*number),
            Given::F32(number) => Value::from(*number),
            Given::F64(number) => Value::from(*number),
            Given::String(text) => Value::from(text.as_str()),
            Given::Bytes(bytes) => Value::from(BASE64_STANDARD.encode(bytes)),
            Given::EnumNumber(number) => match kind {
                Kind::Enum(of) => of.get_value(*number).map_or(Value::from(*number), |of| Value::from(of.name())),
                _ => Value::from(*number),
            },
            Given::Message(message) => self.message(message, depth)?,
            Given::List(items) => {
                Value::Array(items.iter().map(|item| self.value(item, kind, depth)).collect::<Option<_>>()?)
            }
            Given::Map(entries) => {
                // The kind of a map is that of its entries.
                let of = match kind {
                    Kind::Message(entry) => entry.map_entry_value_field().kind(),
                    other => other.clone(),
                };
                let mut table = Map::new();
                for (key, value) in entries {
                    table.insert(key_of(key), self.value(value, &of, depth)?);
                }
                Value::Object(table)
            }
        })
    }
}

fn key_of(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost::Message as _;
    use serde_json::json;

    use super::Payloads;

    #[test]
    fn known_types_and_json_are_read_and_nothing_else() {
        let payloads = Payloads::default();
        let span = prost_reflect::prost_types::Duration { seconds: 3, nanos: 0 }.encode_to_vec();
        assert_eq!(payloads.read("type.googleapis.com/google.protobuf.Duration", &span), Some(json!("3s")));
        assert_eq!(payloads.read("", br#" {"id": 7}"#), Some(json!({"id": 7})));
        assert_eq!(payloads.read("shop.v1.Unknown", &span), None);
        assert_eq!(payloads.read("google.protobuf.Duration", b"\xff"), None);
        let structured = payloads.write("google.protobuf.Struct", &json!({"id": 7.5})).unwrap();
        assert_eq!(payloads.read("google.protobuf.Struct", &structured), Some(json!({"id": 7.5})));
        assert!(payloads.write("shop.v1.Unknown", &json!({})).is_err());
    }

    #[test]
    fn what_holds_itself_is_not_looked_into() {
        let payloads = Payloads::default();
        let mut nested = Vec::new();
        for _ in 0..5_000 {
            let any = prost_reflect::prost_types::Any { type_url: "/google.protobuf.Any".to_owned(), value: nested };
            nested = any.encode_to_vec();
        }
        assert_eq!(payloads.read("type.googleapis.com/google.protobuf.Any", &nested), None);
        let mut shop = Payloads::default();
        shop.add(include_bytes!("../../../tests/fixtures/config/shop.binpb")).expect("a set of descriptors");
        // An order of very many lines of which none says anything.
        let lines = b"\x1a\x00".repeat(100_000);
        assert_eq!(shop.read("shop.v1.Order", &lines), None);
        let few = shop.read("shop.v1.Order", &b"\x1a\x00".repeat(2)).expect("an order");
        assert_eq!(
            few,
            json!({"order_id": "", "cents": 0, "lines": [{"sku": "", "count": 0}, {"sku": "", "count": 0}]})
        );
    }

    #[test]
    fn what_is_no_set_of_descriptors_is_refused() {
        let mut payloads = Payloads::default();
        assert!(payloads.add(b"nonsense").is_err());
        assert_eq!(payloads, Payloads::default());
    }
}
