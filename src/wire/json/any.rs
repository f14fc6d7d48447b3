//! `google.protobuf.Any` in JSON: always as URL and bytes.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeMap,
};

use crate::wire::proto::Any;

// Written with padding, read with or without.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

const TYPE: &str = "@type";
const VALUE: &str = "value";

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry(TYPE, &self.type_url)?;
        map.serialize_entry(VALUE, &STANDARD.encode(&self.value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload as {\"@type\": URL, \"value\": BASE64}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        let mut type_url: Option<Option<String>> = None;
        let mut value: Option<Option<String>> = None;
        while let Some(key) = map.next_key::<String>()? {
            let (slot, name) = match key.as_str() {
                TYPE => (&mut type_url, TYPE),
                VALUE => (&mut value, VALUE),
                _ => {
                    return Err(A::Error::custom(format_args!(
                        "unknown field `{key}` in a payload: there is no descriptor of its type here, so it must be \
                         written as `@type` and `value`, its bytes in base64"
                    )));
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                return Err(A::Error::duplicate_field(name));
            }
        }
        let value = value.flatten().unwrap_or_default();
        Ok(Any { type_url: type_url.flatten().unwrap_or_default(), value: decode(&value)?.into() })
    }
}

fn decode<E: Error>(text: &str) -> Result<Vec<u8>, E> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).map_err(|error| E::custom(format_args!("`value` is no base64: {error}")))
}
