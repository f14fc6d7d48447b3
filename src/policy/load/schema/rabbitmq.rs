//! `[rabbitmq]` and `[journal]`: the other bus, and what the agent keeps for it.

use super::{
    Setting,
    engine::{count, span, word},
    names::{check_name, check_queue},
    slot::{Slot, unless_empty},
};
use crate::{
    model::Span,
    policy::{
        load::config::{Config, Start},
        words::Word,
    },
};

macro_rules! queues {
    ($field:ident, $key:literal, $what:literal, $why:literal, $rule:literal) => {
        Setting {
            key: $key,
            slot: Slot::Texts {
                form: "queues",
                check: check_queue,
                get: |it| unless_empty(it.rabbitmq.$field.clone()),
                set: |it, queues| it.rabbitmq.$field = queues,
            },
            what: $what,
            why: $why,
            rule: $rule,
        }
    };
}

macro_rules! name {
    ($field:ident, $key:literal, $form:literal, $check:expr, $what:literal) => {
        Setting {
            key: $key,
            slot: Slot::Text {
                form: $form,
                get: |it| Some(it.rabbitmq.$field.clone()),
                set: |it, text| {
                    $check(text)?;
                    text.clone_into(&mut it.rabbitmq.$field);
                    Ok(())
                },
            },
            what: $what,
            why: "",
            rule: "",
        }
    };
}

macro_rules! path {
    ($field:ident, $key:literal, $what:literal) => {
        Setting {
            key: $key,
            slot: Slot::Text {
                form: "a path",
                get: |it| it.rabbitmq.$field.clone(),
                set: |it, text| {
                    it.rabbitmq.$field = Some(a_path(text)?);
                    Ok(())
                },
            },
            what: $what,
            why: "",
            rule: "",
        }
    };
}

const MS: Span = Span::millis(1);

fn a_path(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a path is needed".to_owned()) } else { Ok(text.to_owned()) }
}

fn check_url(text: &str) -> Result<(), String> {
    let Some(rest) = text.strip_prefix("amqp://").or_else(|| text.strip_prefix("amqps://")) else {
        // What it is it does not say: a password may stand in it.
        return Err("that is no address: write `amqp://HOST:5672`, or `amqps://HOST:5671` for TLS".to_owned());
    };
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        // Not even here is it repeated.
        return Err("a password stands in it: leave it out, and write password = { env = \"NAME\" }".to_owned());
    }
    if host.is_empty() || host.starts_with(':') {
        return Err(format!("`{text}` has no host: write `amqp://HOST:5672`"));
    }
    check_name(text)
}

/// The bus.
pub(super) const RABBITMQ: &[Setting<Config>] = &[
    Setting {
        key: "rabbitmq.url",
        slot: Slot::Text {
            form: "amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS",
            get: |it| Some(it.rabbitmq.url.clone()).filter(|url| !url.is_empty()),
            set: |it, text| {
                check_url(text)?;
                text.clone_into(&mut it.rabbitmq.url);
                Ok(())
            },
        },
        what: "Where RabbitMQ is, as which user (`guest` if none is named), and the virtual host (`/` if none is named; a `/` \
               in its name is `%2f`).",
        why: "There is no address that is right for everyone.",
        rule: "",
    },
    Setting {
        key: "rabbitmq.password",
        slot: Slot::Secret {
            get: |it| it.rabbitmq.password.clone(),
            set: |it, secret| it.rabbitmq.password = Some(secret),
        },
        what: "Where the user's password is.",
        why: "Without it, it is `guest`, as of a fresh RabbitMQ.",
        rule: "S8.4",
    },
    queues!(
        queues,
        "rabbitmq.queues",
        "Queues with envelopes, each bound so that it gets a copy of them: what the agent takes out of a queue nobody else \
         gets. Consumed exclusively, or as the single active consumer; a second agent stands by.",
        "",
        ""
    ),
    queues!(
        shards,
        "rabbitmq.shards",
        "Queues that an exchange of the consistent-hash plugin shares envelopes out to by their chains, all of them: several \
         agents then share the work, each with `own` shards and a journal of its own (`check --print-setup` prints the exchange).",
        "",
        ""
    ),
    queues!(
        own,
        "rabbitmq.own",
        "Those of `shards` that this agent reads. No two agents have the same, but for one that stands by.",
        "",
        ""
    ),
    name!(
        shard_exchange,
        "rabbitmq.shard_exchange",
        "an exchange",
        check_queue,
        "The exchange of the consistent-hash plugin: services publish their envelopes to it with the chain's id as routing key."
    ),
    queues!(
        streams,
        "rabbitmq.streams",
        "Streams with envelopes. They are read beside others, and take nothing from them.",
        "",
        ""
    ),
    queues!(
        dead_letter_queues,
        "rabbitmq.dead_letter_queues",
        "Queues that services' queues dead-letter their messages to. A request in one answers its call with \
         `undeliverable`, in doubt, since a consumer may have had it.",
        "",
        "S1.9"
    ),
    queues!(
        unroutable_queues,
        "rabbitmq.unroutable_queues",
        "Queues of an alternate exchange: what no queue took. A request in one answers its call with `undeliverable`, \
         without an effect, since nobody ever had it.",
        "",
        "S1.9"
    ),
    Setting {
        key: "rabbitmq.start",
        slot: word!(Start, rabbitmq.start),
        what: "Where streams are read that were never read before: at their end (`latest`) or their beginning \
               (`earliest`).",
        why: "A new agent should not act on what is long past.",
        rule: "S5.14",
    },
    name!(
        exchange,
        "rabbitmq.exchange",
        "an exchange",
        check_queue,
        "Topic exchange of the contract: commands go to it as `commands.SERVICE`, events as `events.KIND`, answers come as \
         `results`. Made if it is not there."
    ),
    name!(
        results,
        "rabbitmq.results",
        "a queue",
        check_queue,
        "The agent's queue for answers to commands, bound as `results`. Made if it is not there."
    ),
    name!(
        operations,
        "rabbitmq.operations",
        "a queue",
        check_queue,
        "The agent's queue for what operators ask of it, bound as `operations`. Made if it is not there."
    ),
    name!(
        told,
        "rabbitmq.told",
        "a stream",
        check_queue,
        "Stream that keeps the newest of what agents tell, bound as `chains` and `events.#`: from it each agent shows the chains of \
         all. The same for all agents. Made if it is not there."
    ),
    name!(
        dead_letters,
        "rabbitmq.dead_letters",
        "a queue",
        check_queue,
        "Queue for input that was refused, with the reason, bound as `dead-letters`. Made if it is not there."
    ),
    Setting {
        key: "rabbitmq.prefetch",
        slot: count!(Count, 1, 65_535, u16, rabbitmq.prefetch),
        what: "Messages of each queue that may be on their way and not yet acknowledged.",
        why: "Some hundredths of a second of full load, so that it never waits for a commit; and all that comes again \
              after a crash.",
        rule: "",
    },
    Setting {
        key: "rabbitmq.heartbeat",
        slot: span!(Span::secs(1), rabbitmq.heartbeat),
        what: "Time between two signs of life, in whole seconds. A connection of which two are missing is given up.",
        why: "An agent that stands by takes over within twenty seconds of a machine's death.",
        rule: "",
    },
    name!(
        client_name,
        "rabbitmq.client_name",
        "a name",
        check_name,
        "What RabbitMQ calls the agent's connections in its lists and logs."
    ),
    Setting {
        key: "rabbitmq.align_wait",
        slot: span!(Span::ZERO, rabbitmq.align_wait),
        what: "How long merging waits for a queue that lags but is not read to its end.",
        why: "As long as `decide_grace`, so that it delays no verdict by more than it takes anyway.",
        rule: "S2.6",
    },
    path!(
        ca_file,
        "rabbitmq.ca_file",
        "Certificates in PEM that are trusted beside this machine's own, for `amqps://`."
    ),
    path!(certificate_file, "rabbitmq.certificate_file", "The agent's own certificate in PEM, with its chain."),
    Setting {
        key: "rabbitmq.key",
        slot: Slot::Secret { get: |it| it.rabbitmq.key.clone(), set: |it, secret| it.rabbitmq.key = Some(secret) },
        what: "Where the key of that certificate is, in PEM (PKCS #8).",
        why: "",
        rule: "S8.4",
    },
];

/// What is kept on this machine.
pub(super) const JOURNAL: &[Setting<Config>] = &[
    Setting {
        key: "journal.folder",
        slot: Slot::Text {
            form: "a path",
            get: |it| Some(it.journal.folder.clone()),
            set: |it, text| {
                it.journal.folder = a_path(text)?;
                Ok(())
            },
        },
        what: "Folder with what was read and not saved yet, the state of chains, and what is to be published, on RabbitMQ. \
               An agent that takes over needs this very folder; two never share it, the second stands by.",
        why: "Beside the agent, until it is known which disk it shall be.",
        rule: "S5.4",
    },
    Setting {
        key: "journal.snapshot_after",
        slot: span!(MS, journal.snapshot_after),
        what: "A chain that is still open at this age is saved; a restart reads again about this much input.",
        why: "Healthy chains end sooner and are never written; five seconds are read again in an instant.",
        rule: "S5.4",
    },
    Setting {
        key: "journal.commit_within",
        slot: span!(MS, journal.commit_within),
        what: "How long inputs and outputs are gathered before they are made durable together.",
        why: "A disk takes some milliseconds for it whatever is in it.",
        rule: "S5.4",
    },
];

#[cfg(test)]
mod tests {
    use super::check_url;

    #[test]
    fn addresses_have_a_scheme_a_host_and_no_password() {
        for good in ["amqp://localhost", "amqps://shop@rabbit.example:5671/orders", "amqp://[::1]:5672"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        let why = check_url("amqp://shop:hunter2@localhost").unwrap_err();
        assert!(why.contains("password") && !why.contains("hunter2"), "{why}");
        assert!(check_url("localhost:5672").is_err() && check_url("amqp://:5672").is_err());
    }
}
