//! `[routes]`, `[payloads]`, `[http]`, `[audit]` and `[log]`.

use super::{
    Setting,
    engine::word,
    names::check_topic,
    slot::{Slot, unless_empty},
};
use crate::policy::{
    load::config::{Config, LogFormat, LogLevel},
    pattern::Pattern,
    words::Word,
};

/// Where commands may go.
pub(super) const ROUTES: &[Setting<Config>] = &[
    Setting {
        key: "routes.allow",
        slot: Slot::Texts {
            form: "services or patterns such as \"stock-*\"",
            check: |text| match text.contains('/') {
                true => Err(format!("`{text}` holds an operation: commands are allowed per service")),
                false => Pattern::new(text).map(|_| ()).map_err(|error| error.to_string()),
            },
            get: |it| unless_empty(it.routes.allow.iter().map(|pattern| pattern.text().to_owned()).collect()),
            set: |it, texts| it.routes.allow = texts.iter().filter_map(|text| Pattern::new(text).ok()).collect(),
        },
        what: "Services that commands may go to. A service that a rule with an `undo` names without `*` is allowed too; \
               a command for any other is not sent, and its chain needs an operator (`no_route`).",
        why: "A name that came over the bus must not decide by itself where commands go.",
        rule: "S5.15",
    },
    Setting {
        key: "routes.topics",
        slot: Slot::Texts {
            form: "topics or patterns such as \"legacy-*\"",
            check: |text| check_topic(&text.replace('*', "x")),
            get: |it| unless_empty(it.routes.topics.iter().map(|pattern| pattern.text().to_owned()).collect()),
            set: |it, texts| it.routes.topics = texts.iter().filter_map(|text| Pattern::new(text).ok()).collect(),
        },
        what: "Topics that a message may ask for as the `route` of its compensation; those that a rule's `undo.route` \
               names are allowed too. Any other leaves the command unsent, and its chain needs an operator (`no_route`). \
               The agent's own topics and its inputs are never a route.",
        why: "A name that came over the bus must not decide by itself where commands go.",
        rule: "S5.15",
    },
];

/// What is known of what messages carry.
pub(super) const PAYLOADS: &[Setting<Config>] = &[Setting {
    key: "payloads.descriptors",
    slot: Slot::Texts {
        form: "paths",
        check: |text| match text.is_empty() {
            true => Err("a path is needed".to_owned()),
            false => Ok(()),
        },
        get: |it| unless_empty(it.payloads.descriptors.clone()),
        set: |it, paths| it.payloads.descriptors = paths,
    },
    what: "Files with the types of protobuf payloads, as `protoc --include_imports --descriptor_set_out` and `buf build` write \
           them. Payloads that are JSON need none.",
    why: "An envelope says what its payload is, not what is in it. Only `undo.body` and `show` need to know.",
    rule: "S5.15, S8.4",
}];

/// Where the agent answers, and what it writes.
pub(super) const HTTP_AND_LOG: &[Setting<Config>] = &[
    Setting {
        key: "http.listen",
        slot: Slot::Text {
            form: "an address and a port",
            get: |it| Some(it.http.listen.to_string()),
            set: |it, text| {
                let wrong = |_| format!("`{text}` is no address with a port: write `127.0.0.1:9470` or `[::1]:9470`");
                it.http.listen = text.parse().map_err(wrong)?;
                Ok(())
            },
        },
        what: "Where the HTTP API, the metrics and the operators' page are served. Other than loopback needs `http.token`.",
        why: "Who can call it can have money sent back: at first only this machine can.",
        rule: "S8.1",
    },
    Setting {
        key: "http.token",
        slot: Slot::Secret { get: |it| it.http.token.clone(), set: |it, secret| it.http.token = Some(secret) },
        what: "Where the token is that callers must show as `Authorization: Bearer TOKEN`, for everything but `/healthz` \
               and `/readyz`; who does not gets a 401.",
        why: "On loopback whoever is logged in may look.",
        rule: "S8.4",
    },
    Setting {
        key: "audit.file",
        slot: Slot::Text {
            form: "a path",
            get: |it| Some(it.audit.file.clone()),
            set: |it, text| {
                if text.is_empty() {
                    return Err("a path is needed".to_owned());
                }
                text.clone_into(&mut it.audit.file);
                Ok(())
            },
        },
        what: "File with what operators asked for and what became of it: added to, never changed, each line with the hash of \
               the one before (`countermand audit verify`). Made at the start. Each instance has its own.",
        why: "Beside the process, until somebody says where it is safe.",
        rule: "S7.1",
    },
    Setting {
        key: "log.level",
        slot: word!(LogLevel, log.level),
        what: "The least important lines that go to stderr.",
        why: "What an operator wants to read afterwards.",
        rule: "",
    },
    Setting {
        key: "log.format",
        slot: word!(LogFormat, log.format),
        what: "Lines for people, or one JSON object a line.",
        why: "Somebody who starts the agent by hand reads it by eye.",
        rule: "",
    },
];
