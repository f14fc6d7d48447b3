//! `[[operations]]`: what is known of operations beforehand (S4.6).

use std::collections::BTreeMap;

use super::{
    Setting,
    names::{check_name, check_service},
    slot::Slot,
};
use crate::{
    model::{EffectClass, Span},
    policy::{
        catalogue::CompensationRule,
        load::config::Property,
        pattern::Pattern,
        settings::{InDoubt, Mode},
        words::Word,
    },
};

/// One table of `[[operations]]`, before it is known to be whole.
#[derive(Debug, Clone, Default)]
pub(in crate::policy::load) struct RuleDraft {
    pub pattern: Option<Pattern>,
    pub timeout: Option<Span>,
    pub effect: Option<EffectClass>,
    pub undo: Option<CompensationRule>,
    pub in_doubt: Option<InDoubt>,
    pub mode: Option<Mode>,
    pub max_age: Option<Span>,
    pub own_undo_window: Option<Span>,
    pub compensates_itself: Option<bool>,
    pub consumers: Vec<String>,
    pub report_within: Option<Span>,
}

impl RuleDraft {
    fn undo(&mut self) -> &mut CompensationRule {
        self.undo.get_or_insert_with(CompensationRule::default)
    }
}

macro_rules! span {
    ($field:ident) => {
        Slot::Span { least: Span::millis(1), get: |it| it.$field, set: |it, span| it.$field = Some(span) }
    };
}

macro_rules! word {
    ($word:ty, $field:ident) => {
        Slot::Word {
            words: <$word>::words,
            get: |it| it.$field.map(Word::word),
            set: |it, word| it.$field = <$word>::from_word(word),
        }
    };
}

macro_rules! undo {
    ($field:ident) => {
        Slot::Text {
            form: "a name",
            get: |it| it.undo.as_ref().map(|undo| undo.$field.clone()).filter(|text| !text.is_empty()),
            set: |it, text| {
                check_name(text)?;
                it.undo().$field = text.to_owned();
                Ok(())
            },
        }
    };
}

/// A header that a service may be given.
fn check_header(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    match lower == "content-type" || lower.starts_with("countermand-") {
        true => Err(format!("`{name}` is a header that the agent sets itself: leave it out")),
        false => check_name(name),
    }
}

fn check_pattern(text: &str) -> Result<Pattern, String> {
    if !text.is_empty() && !text.contains(['/', '*']) {
        return Err(format!(
            "`{text}` matches no operation: write `{text}/*` for all of a service, or `service/Operation`"
        ));
    }
    Pattern::new(text).map_err(|error| error.to_string())
}

/// One rule.
pub(super) const RULE: &[Setting<RuleDraft>] = &[
    Setting {
        key: "operations.match",
        slot: Slot::Text {
            form: "`service/Operation`; `*` stands for anything",
            get: |it| it.pattern.as_ref().map(|pattern| pattern.text().to_owned()),
            set: |it, text| {
                it.pattern = Some(check_pattern(text)?);
                Ok(())
            },
        },
        what: "Operations that the rule is about. Of the rules that match, the most specific one that says something \
               holds.",
        why: "",
        rule: "S5.7",
    },
    Setting {
        key: "operations.timeout",
        slot: span!(timeout),
        what: "Timeout of its calls that give none.",
        why: "As `engine.timeout`.",
        rule: "S2.1",
    },
    Setting {
        key: "operations.effect",
        slot: word!(EffectClass, effect),
        what: "What it changes: nothing (`read_only`), something that an undo takes back, a point of no return \
               (`pivot`), or something to ask for again until it works (`retriable`).",
        why: "Envelope and response know better; this is for services that don't say.",
        rule: "S4.6, S4.7",
    },
    Setting {
        key: "operations.undo.operation",
        slot: undo!(operation),
        what: "The operation of the same service that undoes it. `undo = \"Refund\"` says the same in short.",
        why: "As `operations.effect`.",
        rule: "S4.6",
    },
    Setting {
        key: "operations.undo.inquire",
        slot: undo!(inquire_operation),
        what: "The operation that says whether the effect is there.",
        why: "",
        rule: "S4.3",
    },
    Setting {
        key: "operations.undo.route",
        slot: undo!(route),
        what: "Topic or queue for a service that does not know our commands.",
        why: "The usual one: `kafka.commands`.",
        rule: "S5.15",
    },
    Setting {
        key: "operations.undo.headers",
        slot: Slot::Table {
            form: "headers",
            secrets: false,
            check: check_header,
            get: |it| {
                let headers = it.undo.iter().flat_map(|undo| &undo.headers);
                headers.map(|(key, value)| (key.clone(), Property::Plain(value.clone()))).collect()
            },
            set: |it, table| {
                let plain = table.into_iter().filter_map(|(key, value)| match value {
                    Property::Plain(text) => Some((key, text)),
                    Property::Secret(_) => None,
                });
                it.undo().headers = plain.collect::<BTreeMap<_, _>>();
            },
        },
        what: "Headers for that route. `content-type` and those that begin with `countermand-` are the agent's to set.",
        why: "",
        rule: "S5.15",
    },
    Setting {
        key: "operations.in_doubt",
        slot: word!(InDoubt, in_doubt),
        what: "What its service can be told about an effect in doubt: `undo` it if it is there, `inquire` first, or \
               nothing (`hold`: an operator decides).",
        why: "`hold`, since undoing what never happened does harm; `inquire` where `undo.inquire` is given.",
        rule: "S4.3",
    },
    Setting {
        key: "operations.mode",
        slot: word!(Mode, mode),
        what: "Mode for commands about it.",
        why: "As `engine.mode`.",
        rule: "S5.7",
    },
    Setting {
        key: "operations.max_age",
        slot: span!(max_age),
        what: "`engine.max_age` for chains with this root.",
        why: "",
        rule: "S2.2",
    },
    Setting {
        key: "operations.own_undo_window",
        slot: Slot::Span {
            least: Span::ZERO,
            get: |it| it.own_undo_window,
            set: |it, span| it.own_undo_window = Some(span),
        },
        what: "`engine.own_undo_window` for chains with this root, or for what this service undoes by itself.",
        why: "",
        rule: "S4.9",
    },
    Setting {
        key: "operations.compensates_itself",
        slot: Slot::Flag { get: |it| it.compensates_itself, set: |it, flag| it.compensates_itself = Some(flag) },
        what: "Whether the service undoes by itself what is at and below it: then that is only reported.",
        why: "`false`: a service that says nothing is not known to.",
        rule: "S4.9",
    },
    Setting {
        key: "operations.consumers",
        slot: Slot::Texts {
            form: "services",
            check: check_service,
            get: |it| it.consumers.clone(),
            set: |it, services| it.consumers = services,
        },
        what: "For an event: the services that must report on it, within `report_within`.",
        why: "Without it an event is answered when it is published.",
        rule: "S1.7",
    },
    Setting {
        key: "operations.report_within",
        slot: span!(report_within),
        what: "How long they have for it.",
        why: "",
        rule: "S1.7",
    },
];
