//! How the fields of generated types are read and written; `build.rs` names these functions in serde attributes.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, SeqAccess, Unexpected, Visitor},
};

use super::object::Object;
use crate::wire::proto;

/// What has its default is not written.
pub(in crate::wire) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `null` stands for an absent field.
pub(in crate::wire) fn read_nullable<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A message, or `null`.
pub(in crate::wire) fn read_message<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(message)| message))
}

/// A list of messages, or `null`.
pub(in crate::wire) fn read_messages<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let messages = Option::<Vec<Object<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(messages.into_iter().map(|Object(message)| message).collect())
}

/// An integer, as a number or as a text.
pub(in crate::wire) fn read_number<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i64> + TryFrom<u64> + FromStr + Default,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(NumberVisitor(PhantomData))
}

/// A 64-bit integer is written as a text: JavaScript's numbers are too short for it.
pub(in crate::wire) fn write_long<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

struct NumberVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i64> + TryFrom<u64> + FromStr + Default> Visitor<'_> for NumberVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer of type {}", std::any::type_name::<T>())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        // `1.0` and `1e3` are integers. Above 2^53 not every integer is a float: what was meant can't be told.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() != 0.0 || value.abs() > EXACT {
            return Err(E::invalid_value(Unexpected::Float(value), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "integral and below 2^53")]
        self.visit_i64(value as i64)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        value.parse().map_err(|_| E::invalid_value(Unexpected::Str(value), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// An enum of the contract: its values have names in JSON, but travel as numbers.
pub(in crate::wire) trait JsonEnum: Into<i32> + TryFrom<i32> {
    /// The enum's own name.
    const NAME: &'static str;

    /// The name of a value.
    fn value_name(&self) -> &'static str;

    /// The value of a name.
    fn from_value_name(name: &str) -> Option<Self>;
}

macro_rules! json_enums {
    ($($name:ident),+ $(,)?) => {$(
        impl JsonEnum for proto::$name {
            const NAME: &'static str = stringify!($name);

            fn value_name(&self) -> &'static str {
                self.as_str_name()
            }

            fn from_value_name(name: &str) -> Option<Self> {
                Self::from_str_name(name)
            }
        }
    )+};
}

json_enums!(
    Action,
    Anomaly,
    CallEnd,
    Cause,
    Certainty,
    ChainEventKind,
    EffectKind,
    EffectState,
    Fault,
    Kind,
    Outcome,
    PlanState,
    PlannedCommandState,
    ResultState,
    StatusCode,
    Verb,
    WaitReason,
);

/// An enum, by name or number.
pub(in crate::wire) fn read_enum<'de, T: JsonEnum, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    EnumSeed::<T>(PhantomData).deserialize(deserializer)
}

/// An enum's name, or its number if it is unknown here.
pub(in crate::wire) fn write_enum<T: JsonEnum, S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
    match T::try_from(*number) {
        Ok(value) => to.serialize_str(value.value_name()),
        Err(_) => to.serialize_i32(*number),
    }
}

/// A list of enums.
pub(in crate::wire) fn read_enums<'de, T: JsonEnum, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<i32>, D::Error> {
    deserializer.deserialize_any(EnumsVisitor::<T>(PhantomData))
}

/// A list of enums.
pub(in crate::wire) fn write_enums<T: JsonEnum, S: Serializer>(numbers: &[i32], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(numbers.iter().map(|&number| EnumValue::<T>(number, PhantomData)))
}

struct EnumValue<T>(i32, PhantomData<T>);

impl<T: JsonEnum> Serialize for EnumValue<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        write_enum::<T, S>(&self.0, to)
    }
}

struct EnumSeed<T>(PhantomData<T>);

impl<'de, T: JsonEnum> DeserializeSeed<'de> for EnumSeed<T> {
    type Value = i32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<i32, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: JsonEnum> Visitor<'_> for EnumSeed<T> {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name or number of a value of countermand.v1.{}", T::NAME)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<i32, E> {
        T::from_value_name(name).map(Into::into).ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i32, E> {
        i32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i32, E> {
        i32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<i32, E> {
        Ok(0)
    }
}

struct EnumsVisitor<T>(PhantomData<T>);

impl<'de, T: JsonEnum> Visitor<'de> for EnumsVisitor<T> {
    type Value = Vec<i32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of values of countermand.v1.{}", T::NAME)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<i32>, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = from.next_element_seed(EnumSeed::<T>(PhantomData))? {
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<i32>, E> {
        Ok(Vec::new())
    }
}
