//! The lower-case words of semantics.md for what a configuration, a scenario or a command line chooses between.

use super::settings::{InDoubt, InFlight, Mode, OnUndoFailure, Ordering, Tolerated, Undeclared};
use crate::model::EffectClass;

/// A choice with a word for each of its values.
pub trait Word: Copy + PartialEq + 'static {
    /// All values with their words, the one that a reader should see first in front.
    const WORDS: &'static [(Self, &'static str)];

    /// The word of this value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(value, _)| *value == self).map_or("", |(_, word)| word)
    }

    /// The value of a word; `None` if it is none of them.
    fn from_word(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, word)| *word == text).map(|(value, _)| *value)
    }

    /// All words, in their order.
    fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|(_, word)| *word).collect()
    }
}

macro_rules! words {
    ($($choice:ident { $($value:ident = $word:literal),+ $(,)? })+) => {$(
        impl Word for $choice {
            const WORDS: &'static [(Self, &'static str)] = &[$((Self::$value, $word)),+];
        }
    )+};
}
pub(super) use words;

words! {
    Mode { Observe = "observe", Approve = "approve", Auto = "auto" }
    InDoubt { Undo = "undo", Inquire = "inquire", Hold = "hold" }
    InFlight { Wait = "wait", PlanNow = "plan_now" }
    Tolerated { Undo = "undo", Report = "report" }
    Undeclared { ReadOnly = "read_only", Effect = "effect" }
    Ordering { Parallel = "parallel", Strict = "strict" }
    OnUndoFailure { Stop = "stop", Continue = "continue" }
    EffectClass { ReadOnly = "read_only", Compensatable = "compensatable", Pivot = "pivot", Retriable = "retriable" }
}
