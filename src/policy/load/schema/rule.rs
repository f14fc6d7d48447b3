//! `[[operations]]`: what is known of operations beforehand (S4.6).

use std::collections::BTreeMap;

use super::{
    Setting,
    names::{check_name, check_service},
    slot::{Slot, unless_empty},
};
use crate::{
    model::{EffectClass, ResultState, Span},
    policy::{
        catalogue::CompensationRule,
        load::config::Property,
        pattern::Pattern,
        payloads::ShownField,
        settings::{InDoubt, Mode},
        undo::{ReplyPlace, Template},
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
    pub message: MessageDraft,
    pub in_doubt: Option<InDoubt>,
    pub mode: Option<Mode>,
    pub max_age: Option<Span>,
    pub own_undo_window: Option<Span>,
    pub compensates_itself: Option<bool>,
    pub consumers: Vec<String>,
    pub report_within: Option<Span>,
    pub show: Option<Vec<ShownField>>,
}

/// What a service is sent that does not know commands, before it is known to be whole.
#[derive(Debug, Clone, Default)]
pub(in crate::policy::load) struct MessageDraft {
    pub body: Option<Template>,
    pub type_name: String,
    pub envelope: Option<bool>,
    pub key: Option<Template>,
    pub silence: Option<Span>,
    pub reply: Option<ReplyPlace>,
    /// What the words of replies mean, in the order of the file.
    pub words: Vec<(Pattern, ResultState)>,
}

impl RuleDraft {
    fn undo(&mut self) -> &mut CompensationRule {
        self.undo.get_or_insert_with(CompensationRule::default)
    }
}

macro_rules! span {
    ($($field:ident).+) => {
        Slot::Span { least: Span::millis(1), get: |it| it.$($field).+, set: |it, span| it.$($field).+ = Some(span) }
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

macro_rules! template {
    ($field:ident, $form:literal, $read:path) => {
        Slot::Text {
            form: $form,
            get: |it| it.message.$field.as_ref().map(|template| template.source().to_owned()),
            set: |it, text| {
                it.message.$field = Some($read(text)?);
                Ok(())
            },
        }
    };
}

macro_rules! reply {
    ($state:ident) => {
        Slot::Texts {
            form: "words; `*` stands for anything",
            check: |text| Pattern::new(text).map(|_| ()).map_err(|error| error.to_string()),
            get: |it| {
                let words = it.message.words.iter().filter(|(_, state)| *state == ResultState::$state);
                unless_empty(words.map(|(pattern, _)| pattern.text().to_owned()).collect())
            },
            set: |it, texts| {
                let patterns = texts.iter().filter_map(|text| Pattern::new(text).ok());
                it.message.words.extend(patterns.map(|pattern| (pattern, ResultState::$state)));
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
        what: "Headers for that route. `content-type` and those that begin with `countermand-` are the agent's to set. With \
               `undo.body` they may hold fields, too.",
        why: "",
        rule: "S5.15",
    },
    Setting {
        key: "operations.undo.body",
        slot: template!(body, "JSON or a text, with fields such as `{response.order_id}`", Template::json_or_text),
        what: "What the service is sent instead of a command, where it does not know ours: a message that it understands \
               already. See [Undo without touching services](undo.md).",
        why: "Without it a command goes out.",
        rule: "S5.15",
    },
    Setting {
        key: "operations.undo.type",
        slot: Slot::Text {
            form: "the full name of a protobuf message",
            get: |it| Some(it.message.type_name.clone()).filter(|name| !name.is_empty()),
            set: |it, text| {
                check_name(text)?;
                text.clone_into(&mut it.message.type_name);
                Ok(())
            },
        },
        what: "The message of `payloads.descriptors` that a JSON `undo.body` is written as.",
        why: "Without it JSON stays JSON.",
        rule: "S5.15",
    },
    Setting {
        key: "operations.undo.key",
        slot: template!(key, "a text with fields", Template::text),
        what: "The record's key, if it is not the chain's id: what the service keys its own messages by. Kafka only.",
        why: "",
        rule: "S5.15",
    },
    Setting {
        key: "operations.undo.envelope",
        slot: Slot::Flag { get: |it| it.message.envelope, set: |it, flag| it.message.envelope = Some(flag) },
        what: "Whether `undo.body` is the payload of an envelope, a request as this service gets them from others. Its \
               response is the answer.",
        why: "`false`.",
        rule: "S4.2, S5.15",
    },
    Setting {
        key: "operations.undo.silence",
        slot: span!(message.silence),
        what: "Nothing said against it for so long counts as `done`: for services that do not reply.",
        why: "Without it only a reply is an answer.",
        rule: "S5.2",
    },
    Setting {
        key: "operations.undo.reply.field",
        slot: Slot::Text {
            form: "a field of the reply such as `order.status`, or `header:NAME`",
            get: |it| it.message.reply.as_ref().map(ReplyPlace::text),
            set: |it, text| {
                it.message.reply = Some(ReplyPlace::read(text)?);
                Ok(())
            },
        },
        what: "Where in a reply the word stands that says what became of it.",
        why: "",
        rule: "S5.2",
    },
    Setting {
        key: "operations.undo.reply.done",
        slot: reply!(Done),
        what: "Words that mean that the effect is undone.",
        why: "",
        rule: "S5.2",
    },
    Setting {
        key: "operations.undo.reply.not_needed",
        slot: reply!(NotNeeded),
        what: "Words that mean that there was nothing to undo.",
        why: "",
        rule: "S5.2",
    },
    Setting {
        key: "operations.undo.reply.ongoing",
        slot: reply!(Ongoing),
        what: "Words that mean that it takes longer.",
        why: "",
        rule: "S5.2",
    },
    Setting {
        key: "operations.undo.reply.retryable",
        slot: reply!(Retryable),
        what: "Words that mean that it shall be sent again.",
        why: "",
        rule: "S5.2",
    },
    Setting {
        key: "operations.undo.reply.failed",
        slot: reply!(Failed),
        what: "Words that mean that it failed for good.",
        why: "",
        rule: "S5.2",
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
            get: |it| unless_empty(it.consumers.clone()),
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
    Setting {
        key: "operations.show",
        slot: Slot::Texts {
            form: "fields of payloads, such as `request.order_id` or `response.lines.0.sku`",
            check: |text| ShownField::read(text).map(|_| ()),
            get: |it| it.show.as_ref().map(|show| show.iter().map(ToString::to_string).collect()),
            set: |it, fields| it.show = Some(fields.iter().filter_map(|text| ShownField::read(text).ok()).collect()),
        },
        what: "Fields of its payloads that people may see: in the API, in the terminal, in traces, and in the pictures of chains \
               that go out on the bus. 16 at most. Payloads are read as JSON, or by the types of `payloads.descriptors`. A list \
               or a table is not shown: name what in it is. For this the payloads are kept as those of calls with an effect are.",
        why: "Nothing of a payload is shown. An empty list takes back what less specific rules show.",
        rule: "S8.4",
    },
];
