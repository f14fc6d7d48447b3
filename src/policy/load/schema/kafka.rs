//! `[kafka]`: the bus.

use super::{
    Setting,
    engine::{count, span, word},
    names::{check_broker, check_name, check_service_topic, check_topic, check_topic_or_pattern},
    slot::{Slot, unless_empty},
};
use crate::{
    model::Span,
    policy::{
        load::{
            config::{Config, Start},
            properties::check_property,
        },
        words::Word,
    },
};

macro_rules! text {
    ($form:literal, $check:expr, $field:ident) => {
        Slot::Text {
            form: $form,
            get: |it| Some(it.kafka.$field.clone()),
            set: |it, text| {
                $check(text)?;
                it.kafka.$field = text.to_owned();
                Ok(())
            },
        }
    };
}

macro_rules! topics {
    ($field:ident) => {
        Slot::Texts {
            form: "topics; one that begins with `^` is a pattern",
            check: check_topic_or_pattern,
            get: |it| unless_empty(it.kafka.$field.clone()),
            set: |it, topics| it.kafka.$field = topics,
        }
    };
}

macro_rules! topic {
    ($field:ident, $key:literal, $what:literal) => {
        Setting { key: $key, slot: text!("a topic name", check_topic, $field), what: $what, why: "", rule: "" }
    };
}

const MS: Span = Span::millis(1);

/// The bus.
pub(super) const KAFKA: &[Setting<Config>] = &[
    Setting {
        key: "kafka.brokers",
        slot: Slot::Texts {
            form: "brokers, each \"host:port\"",
            check: check_broker,
            get: |it| unless_empty(it.kafka.brokers.clone()),
            set: |it, brokers| it.kafka.brokers = brokers,
        },
        what: "Brokers to begin with; the others are found through them.",
        why: "There is no address that is right for everyone.",
        rule: "",
    },
    Setting {
        key: "kafka.topics",
        slot: topics!(topics),
        what: "Topics with envelopes.",
        why: "The name in the contract.",
        rule: "",
    },
    Setting {
        key: "kafka.group",
        slot: text!("a name", check_name, group),
        what: "Consumer group. Instances of one group share the partitions.",
        why: "",
        rule: "",
    },
    Setting {
        key: "kafka.instance",
        slot: text!("a name", check_name, instance),
        what: "Name of this instance in its group: the same after a restart, and no other's, since two of one name fence \
               each other. With more than one instance give each its own, such as its place in a stateful set.",
        why: "A random name would block readers after each crash until the open transaction times out.",
        rule: "S5.4",
    },
    Setting {
        key: "kafka.workers",
        slot: count!(Count, 1, 64, usize, kafka.workers),
        what: "Threads, each with a part of this instance's partitions, its own place in the group and its own transactions. \
               More than there are partitions find no work. After the number was lowered, the partitions of workers that \
               are gone wait for `session_timeout`.",
        why: "One core is enough for most; each further one costs the brokers a member and a producer.",
        rule: "S5.4",
    },
    Setting {
        key: "kafka.client_id",
        slot: text!("a name", check_name, client_id),
        what: "What brokers call the agent in logs, quotas and metrics.",
        why: "",
        rule: "",
    },
    Setting {
        key: "kafka.start",
        slot: word!(Start, kafka.start),
        what: "Where a new group begins: at the end (`latest`) or the beginning (`earliest`) of its topics. With \
               `earliest` whatever is decided before it has caught up waits for approval.",
        why: "A new agent should not act on what is long past.",
        rule: "S5.14",
    },
    topic!(results, "kafka.results", "Topic with participants' answers to commands."),
    topic!(operations, "kafka.operations", "Topic with what operators ask of the agent."),
    Setting {
        key: "kafka.commands",
        slot: text!("a topic name; `{service}` is replaced", check_service_topic, commands),
        what: "Topics for commands.",
        why: "One topic a service, so that a service reads only its own.",
        rule: "",
    },
    topic!(events, "kafka.events", "Topic for each change in a chain's life."),
    topic!(chains, "kafka.chains", "Topic for the finished pictures of chains."),
    topic!(dead_letters, "kafka.dead_letters", "Topic for input that was refused, with the reason."),
    topic!(state, "kafka.state", "Compacted topic for what a restart needs."),
    Setting {
        key: "kafka.undeliverable",
        slot: topics!(undeliverable),
        what: "Dead-letter topics of services: an envelope there answers its call with cause `undeliverable`, in doubt. They \
               may have any number of partitions and keys. What the pattern of the inputs matches beside is no input then.",
        why: "Their names are yours; with Spring's defaults `^.*-dlt$`.",
        rule: "S1.9",
    },
    Setting {
        key: "kafka.replies",
        slot: topics!(replies),
        what: "Topics of services that do not know commands, in which they reply to what `undo.body` asked of them: a reply \
               that brings back its `{correlation}` is read as `undo.reply` says, all others are passed over. They may have any \
               number of partitions and keys.",
        why: "Services that reply where they are told are told `kafka.results`.",
        rule: "S5.2",
    },
    Setting {
        key: "kafka.repartition",
        slot: Slot::Flag { get: |it| Some(it.kafka.repartition), set: |it, flag| it.kafka.repartition = flag },
        what: "Inputs are not keyed by chain, or have different numbers of partitions: carry each message to its chain's \
               partition first, through `kafka.rekeyed`. One instance of the group does it.",
        why: "It writes every message once more; keying by `chain_id` at the services costs nothing.",
        rule: "S2.6",
    },
    topic!(rekeyed, "kafka.rekeyed", "Topic for what is carried to its chain's partition."),
    Setting {
        key: "kafka.look_every",
        slot: span!(Span::millis(100), kafka.look_every),
        what: "How often it is looked whether topics came or went. One that is new and that `topics` means is read from its \
               first message on; one that is gone is told of, and stops nothing else.",
        why: "A look is one small request, unless there are thousands of topics.",
        rule: "",
    },
    Setting {
        key: "kafka.snapshot_after",
        slot: span!(MS, kafka.snapshot_after),
        what: "A chain that is still open at this age is saved; a restart reads again about this much input.",
        why: "Healthy chains end sooner and are never written; five seconds are read again in an instant.",
        rule: "S5.4",
    },
    Setting {
        key: "kafka.align_wait",
        slot: span!(Span::ZERO, kafka.align_wait),
        what: "How long merging waits for a partition that lags but is not at its end.",
        why: "Twice a broker's longest wait for one answer (`fetch_wait`), so that a fetch under way arrives; as long as \
              `decide_grace`, so that it delays no verdict by more than it takes anyway.",
        rule: "S2.6",
    },
    Setting {
        key: "kafka.commit_within",
        slot: span!(MS, kafka.commit_within),
        what: "How long outputs are gathered before they are committed together. In a backlog it is longer: ten times as long as \
               the last commit took, at most 250 ms.",
        why: "A commit costs about 5 ms whatever is in it: at 10 ms half of the time is left for work.",
        rule: "S5.4",
    },
    Setting {
        key: "kafka.commit_quiet",
        slot: span!(MS, kafka.commit_quiet),
        what: "How long reading goes on before progress without outputs is committed.",
        why: "Nobody waits for it, and lag that monitoring shows stays below a tenth of a second.",
        rule: "S5.4",
    },
    Setting {
        key: "kafka.transaction_timeout",
        slot: span!(Span::secs(1), kafka.transaction_timeout),
        what: "When the broker gives up an open transaction.",
        why: "Above a broker's restart, since what outlives it ends fatal; a crashed instance that does not return under \
              its name blocks readers that long.",
        rule: "S5.4",
    },
    Setting {
        key: "kafka.session_timeout",
        slot: span!(Span::secs(1), kafka.session_timeout),
        what: "When the broker takes a silent instance for dead and gives its partitions to others.",
        why: "Above a broker's restart, so that the assignment outlives it.",
        rule: "S5.4",
    },
    Setting {
        key: "kafka.fetch_wait",
        slot: span!(MS, kafka.fetch_wait),
        what: "How long a broker may gather records for one answer.",
        why: "A partition counts as read to its end by a fetch younger than 1 s: ten of them fit.",
        rule: "S0",
    },
    Setting {
        key: "kafka.fetch_backoff",
        slot: span!(MS, kafka.fetch_backoff),
        what: "How long reading of a partition pauses once its queue is full.",
        why: "The client's own default of 1 s costs half of the reading speed and more.",
        rule: "",
    },
    Setting {
        key: "kafka.properties",
        slot: Slot::Table {
            form: "further settings of the Kafka client, as its documentation names them",
            secrets: true,
            check: check_property,
            get: |it| it.kafka.properties.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            set: |it, table| it.kafka.properties.extend(table),
        },
        what: "Passed through to consumer and producer, such as `security.protocol` or `sasl.username`. Passwords are \
               { env = \"NAME\" } or { file = \"PATH\" }. What the agent must decide itself is refused, with the reason.",
        why: "",
        rule: "S8.4",
    },
];
