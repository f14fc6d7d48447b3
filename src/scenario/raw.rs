//! The YAML shapes of a scenario file, as they are written: every scalar keeps its text, unknown keys are errors.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// Steps of one scenario. A file that is worth reading has some dozens; this bounds memory, not imagination.
pub const MAX_STEPS: usize = 100_000;

/// A scalar as it is written: `2.0`, `no` and `503` are the texts `2.0`, `no` and `503`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Scalar)
    }
}

/// A key that is there although its value is empty (`failed:`) is there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    Text::deserialize(deserializer).map(Some)
}

/// One document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawScenario {
    pub scenario: Text,
    #[serde(default)]
    pub rules: Vec<Text>,
    #[serde(default)]
    pub config: Option<RawConfig>,
    pub bus: Steps,
    pub expect: Blocks,
}

/// Only what says which scenario an error is in.
#[derive(Debug, Deserialize)]
pub struct NameOnly {
    pub scenario: Option<Text>,
}

macro_rules! raw {
    ($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $kind:ty,)* } texts { $($(#[$tattr:meta])* $text:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$attr])* #[serde(default)] pub $field: $kind,)*
            $($(#[$tattr])* #[serde(default, deserialize_with = "present")] pub $text: Option<Text>,)*
        }

        impl $name {
            /// The names of the fields that are there, as this file calls them.
            #[allow(dead_code)]
            pub fn names(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$field.is_some() { names.push(stringify!($field)); })*
                $(if self.$text.is_some() { names.push(stringify!($text)); })*
                names
            }
        }
    };
}

raw! {
    /// One step of `bus`.
    RawStep {
        partition: Option<u16>,
        lagging: Option<bool>,
        refused: Option<bool>,
        ongoing: Option<bool>,
        attrs: Option<BTreeMap<String, Text>>,
    } texts {
        at,
        request, event, response, dead_letter, result, operator,
        from, to, op,
        #[serde(rename = "in")]
        parent,
        timeout, retry_of, undo, in_doubt, effect, key, compensates, during,
        failed, unknown, cancelled, caused_by, version, by,
        handled, state, action, command_id, call,
        chain, id,
    }
}

raw! {
    /// Settings to override; limits go by the names of the configuration too.
    RawConfig {
        modes: Option<BTreeMap<String, Text>>,
        timeouts: Option<BTreeMap<String, Text>>,
        events: Option<BTreeMap<String, RawEvent>>,
        routes: Option<Vec<Text>>,
        compensates_itself: Option<Vec<Text>>,
        attributes: Option<Vec<Text>>,
        brake: Option<RawBrake>,
        act_on_incomplete: Option<bool>,
        max_attempts: Option<u32>,
        #[serde(alias = "calls_per_chain")]
        max_calls: Option<usize>,
        #[serde(alias = "depth")]
        max_depth: Option<usize>,
        #[serde(alias = "answers_per_call")]
        max_answers: Option<usize>,
        #[serde(alias = "memory")]
        max_memory: Option<usize>,
        #[serde(alias = "names")]
        max_names: Option<usize>,
        command_bytes: Option<usize>,
    } texts {
        mode, in_flight, tolerated, undeclared, ordering, on_undo_failure,
        timeout, timeout_grace, decide_grace, clock_skew, max_ahead, max_age, late_window, linger, align_wait,
        answer_timeout, backoff, max_backoff, max_plan_age, own_undo_window,
    }
}

raw! {
    /// The consumers of an event.
    RawEvent {
        consumers: Option<Vec<Text>>,
    } texts {
        report_within,
    }
}

raw! {
    /// The storm brake.
    RawBrake {
        per_edge: Option<u32>,
        overall: Option<u32>,
    } texts {}
}

raw! {
    /// What a moment is to look like.
    RawBlock {
        chain: Option<RawChain>,
        chains: Option<BTreeMap<String, RawChain>>,
        commands: Option<Vec<RawCommand>>,
    } texts {
        at,
    }
}

raw! {
    /// What a chain is to look like.
    RawChain {
        path: Option<Vec<Text>>,
        contributing: Option<Vec<Text>>,
        tolerated: Option<Vec<Text>>,
        anomalies: Option<Vec<Text>>,
        uncompensatable: Option<Vec<Text>>,
        skipped: Option<Vec<Text>>,
        ambiguous: Option<bool>,
        incomplete: Option<bool>,
        revision: Option<u32>,
    } texts {
        outcome, failing, cause, state,
    }
}

raw! {
    /// One command that was to be sent.
    RawCommand {
        wave: Option<u32>,
        generation: Option<u32>,
        sends: Option<u32>,
    } texts {
        undo, retry, inquire, certainty, op, chain,
    }
}

/// The steps, within their limit.
#[derive(Debug)]
pub struct Steps(pub Vec<RawStep>);

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Steps;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of steps")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Steps, A::Error> {
                let mut steps = Vec::new();
                while let Some(step) = seq.next_element()? {
                    if steps.len() == MAX_STEPS {
                        return Err(A::Error::custom(format_args!("more than {MAX_STEPS} steps")));
                    }
                    steps.push(step);
                }
                Ok(Steps(steps))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// `expect`: one block, or a list of them.
#[derive(Debug)]
pub struct Blocks(pub Vec<RawBlock>);

impl<'de> Deserialize<'de> for Blocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Blocks;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block of expectations or a list of them")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Blocks, A::Error> {
                RawBlock::deserialize(MapAccessDeserializer::new(map)).map(|block| Blocks(vec![block]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blocks, A::Error> {
                let mut blocks = Vec::new();
                while let Some(block) = seq.next_element()? {
                    blocks.push(block);
                }
                Ok(Blocks(blocks))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}
