//! What a configuration needs on RabbitMQ before the agent runs there: queues with their arguments and bindings, who must be
//! allowed what, and policies. It is worked out without asking a broker.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::policy::load::{Config, RabbitmqConfig};

/// Everything that a configuration needs on RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RabbitmqSetup {
    exchange: String,
    /// The agent's own queues, which it makes if it may.
    own: Vec<OwnQueue>,
    /// Queues of the services that the agent reads.
    inputs: Vec<String>,
    streams: Vec<String>,
    /// The exchange that shares envelopes out, and all its queues; none: nothing is shared.
    shards: (String, Vec<String>),
    /// Services that get commands, as far as they are named.
    services: Vec<String>,
}

/// A queue of the agent's own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnQueue {
    name: String,
    routing_keys: &'static [&'static str],
    kind: OwnKind,
    what: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnKind {
    /// It is read, so that what it gives up goes to the dead letters.
    Read,
    /// It is written, for people.
    Written,
    /// It is a stream that all agents read.
    Stream,
}

/// Somebody's permissions, as regular expressions of names.
struct Permissions {
    who: &'static str,
    configure: String,
    write: String,
    read: String,
    why: &'static str,
}

impl RabbitmqSetup {
    /// What `config` needs.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let RabbitmqConfig { exchange, queues, streams, dead_letter_queues, unroutable_queues, .. } = &config.rabbitmq;
        let own_shards = &config.rabbitmq.own;
        let own = |name: &str, routing_keys, kind, what| OwnQueue { name: name.to_owned(), routing_keys, kind, what };
        let named = config.allowed_services();
        let services = named.iter().map(|pattern| pattern.text().to_owned()).filter(|text| !text.contains('*'));
        Self {
            exchange: exchange.clone(),
            own: vec![
                own(&config.rabbitmq.results_queue(), &["results"], OwnKind::Read, "answers to commands"),
                own(&config.rabbitmq.operations_queue(), &["operations"], OwnKind::Read, "what operators ask for"),
                own(&config.rabbitmq.told, &["chains", "events.#"], OwnKind::Stream, "what all agents tell"),
                own(&config.rabbitmq.dead_letters, &["dead-letters"], OwnKind::Written, "refused input"),
            ],
            inputs: [queues, own_shards, dead_letter_queues, unroutable_queues]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            streams: streams.clone(),
            shards: (config.rabbitmq.shard_exchange.clone(), config.rabbitmq.shards.clone()),
            services: services.collect(),
        }
    }

    fn permissions(&self) -> [Permissions; 3] {
        let own = self.own.iter().map(|queue| queue.name.as_str());
        let read: Vec<&str> = own.clone().chain(self.inputs.iter().chain(&self.streams).map(String::as_str)).collect();
        let made: Vec<&str> = own.chain([self.exchange.as_str()]).collect();
        let all = |names: &[&str], more: &[&str]| {
            let escaped = names.iter().map(|name| regex::escape(name));
            let parts: Vec<String> = escaped.chain(more.iter().map(|&more| more.to_owned())).collect();
            format!("^({})$", parts.join("|"))
        };
        let leases = "countermand\\.reader\\..*";
        [
            Permissions {
                who: "AGENT",
                configure: all(&made, &[leases]),
                // The default exchange has an empty name: routes of compensations are queues.
                write: all(&made, &["amq\\.default", leases]),
                read: all(&[&read[..], &[self.exchange.as_str()]].concat(), &[leases]),
                why: "The agent makes what it is missing, and holds a queue of its connection's own as the lease on each \
                      queue that it reads.",
            },
            Permissions {
                who: "AGENT_WHERE_ALL_IS_MADE",
                configure: all(&[], &[leases]),
                write: all(&[self.exchange.as_str()], &["amq\\.default"]),
                read: all(&read, &[leases]),
                why: "Instead, where all of the above is made by somebody else.",
            },
            Permissions {
                who: "PARTICIPANT",
                configure: String::new(),
                write: all(&[self.exchange.as_str()], &[]),
                read: format!("^{}\\.commands\\.SERVICE$", regex::escape(&self.exchange)),
                why: "A service reads its commands and answers them.",
            },
        ]
    }
}

/// The lines for a shell. Nothing in them does what the reader did not mean: what depends is commented out.
#[must_use]
pub fn script(setup: &RabbitmqSetup) -> String {
    let mut out = String::from(
        "# What this configuration needs on RabbitMQ. Fill in these, read what follows, and paste what applies.\n\
         # rabbitmqctl runs on the broker's machine; rabbitmqadmin is that of the management plugin.\n\
         VHOST='/'\n\
         AGENT='NAME'             # the user of the agent\n\
         PARTICIPANT='NAME'       # the user of a service\n",
    );
    let _ =
        writeln!(out, "\n# The exchange: made by the agent if it is missing and the agent may.\n{}", exchange(setup));
    for queue in &setup.own {
        let _ = writeln!(out, "\n# {}: made by the agent if it is missing and the agent may.", queue.what);
        for line in commands(setup, queue) {
            let _ = writeln!(out, "{line}");
        }
    }
    for line in shard_lines(setup) {
        let _ = writeln!(out, "{line}");
    }
    if !setup.inputs.is_empty() || !setup.streams.is_empty() {
        out.push_str("\n# What is read must be there, each queue bound so that it gets a copy of what services say. The agent is the\n");
        out.push_str("# only one that consumes it:\n");
    }
    for queue in &setup.inputs {
        let _ = writeln!(out, "# {}", declaration(queue, &[("x-queue-type", "\"quorum\"")]));
    }
    for stream in &setup.streams {
        let _ = writeln!(out, "# {}", declaration(stream, &[("x-queue-type", "\"stream\"")]));
    }
    if !setup.inputs.is_empty() {
        let names: Vec<String> = setup.inputs.iter().map(|name| regex::escape(name)).collect();
        out.push_str("# A quorum queue of RabbitMQ 4 gives a message up that came twenty times, as it may when an agent dies often:\n");
        let _ = writeln!(
            out,
            "rabbitmqctl set_policy --vhost \"$VHOST\" --apply-to queues countermand-inputs {} {}",
            quoted(&format!("^({})$", names.join("|"))),
            quoted("{\"delivery-limit\":1000}")
        );
    }
    out.push_str("\n# Each service that gets commands has a queue, bound by its name:\n");
    for service in &setup.services {
        let queue = format!("{}.commands.{service}", setup.exchange);
        let _ = writeln!(out, "{}", declaration(&queue, &[("x-queue-type", "\"quorum\"")]));
        let _ = writeln!(out, "{}", binding(setup, &queue, &format!("commands.{service}")));
    }
    if setup.services.is_empty() {
        let queue = format!("{}.commands.SERVICE", setup.exchange);
        let _ = writeln!(out, "# {}", declaration(&queue, &[("x-queue-type", "\"quorum\"")]));
        let _ = writeln!(out, "# {}", binding(setup, &queue, "commands.SERVICE"));
    }
    out.push_str("\n# Permissions: to configure, write and read what has these names.\n");
    for grant in setup.permissions() {
        let applies = if grant.who == "AGENT" { "" } else { "# " };
        let _ = writeln!(out, "# {}\n{applies}{}", grant.why, permission(&grant));
    }
    out
}

/// One line for each thing.
#[must_use]
pub fn lines(setup: &RabbitmqSetup) -> Vec<Value> {
    let exchange = json!({"kind": "exchange", "name": setup.exchange, "type": "topic", "command": exchange(setup)});
    let own = setup.own.iter().map(|queue| {
        json!({
            "kind": "queue", "name": queue.name, "what": queue.what, "routing_keys": queue.routing_keys,
            "made_by_agent": true, "commands": commands(setup, queue),
        })
    });
    let read =
        setup.inputs.iter().map(|name| (name, "quorum")).chain(setup.streams.iter().map(|name| (name, "stream")));
    let read = read.map(|(name, queue_type)| {
        let kind = format!("\"{queue_type}\"");
        let command = declaration(name, &[("x-queue-type", &kind)]);
        json!({"kind": "queue", "name": name, "what": "read", "type": queue_type, "made_by_agent": false, "commands": [command]})
    });
    let permissions = setup.permissions().into_iter().map(|grant| {
        json!({
            "kind": "permissions", "principal": grant.who.to_lowercase(), "configure": grant.configure,
            "write": grant.write, "read": grant.read, "why": grant.why, "command": permission(&grant),
        })
    });
    let shards = (!setup.shards.1.is_empty()).then(|| {
        let commands: Vec<String> = shard_lines(setup).into_iter().filter(|line| !line.trim_start().starts_with('#')).collect();
        json!({"kind": "shards", "name": setup.shards.0, "queues": setup.shards.1, "made_by_agent": false, "commands": commands})
    });
    std::iter::once(exchange).chain(own).chain(shards).chain(read).chain(permissions).collect()
}

/// The exchange that shares envelopes out, and what it shares them out to.
fn shard_lines(setup: &RabbitmqSetup) -> Vec<String> {
    let (exchange, shards) = &setup.shards;
    if shards.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        "\n# Envelopes are shared out to the shards by their chains: services publish to this exchange, with the chain's id as".to_owned(),
        "# routing key. Let no agent run while a shard is added or removed: chains that are open would change their shard.".to_owned(),
        "rabbitmq-plugins enable rabbitmq_consistent_hash_exchange".to_owned(),
        format!(
            "rabbitmqadmin --vhost=\"$VHOST\" declare exchange name={} type=x-consistent-hash durable=true",
            quoted(exchange)
        ),
    ];
    for shard in shards {
        lines.push(declaration(shard, &[("x-queue-type", "\"quorum\"")]));
        lines.push(format!(
            "rabbitmqadmin --vhost=\"$VHOST\" declare binding source={} destination={} routing_key=1",
            quoted(exchange),
            quoted(shard)
        ));
    }
    lines
}

fn exchange(setup: &RabbitmqSetup) -> String {
    let name = quoted(&setup.exchange);
    format!("rabbitmqadmin --vhost=\"$VHOST\" declare exchange name={name} type=topic durable=true")
}

/// What makes a queue of the agent's own and its bindings.
fn commands(setup: &RabbitmqSetup, queue: &OwnQueue) -> Vec<String> {
    let exchange = Value::from(setup.exchange.as_str()).to_string();
    let arguments: &[(&str, &str)] = match queue.kind {
        OwnKind::Read => &[
            ("x-queue-type", "\"quorum\""),
            ("x-delivery-limit", "1000"),
            ("x-dead-letter-exchange", &exchange),
            ("x-dead-letter-routing-key", "\"dead-letters\""),
        ],
        OwnKind::Written => &[("x-queue-type", "\"quorum\"")],
        OwnKind::Stream => &[
            ("x-queue-type", "\"stream\""),
            ("x-max-length-bytes", "67108864"),
            ("x-stream-max-segment-size-bytes", "8388608"),
        ],
    };
    let bindings = queue.routing_keys.iter().map(|key| binding(setup, &queue.name, key));
    std::iter::once(declaration(&queue.name, arguments)).chain(bindings).collect()
}

fn declaration(queue: &str, arguments: &[(&str, &str)]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let arguments = quoted(&format!("{{{}}}", arguments.join(",")));
    format!("rabbitmqadmin --vhost=\"$VHOST\" declare queue name={} durable=true arguments={arguments}", quoted(queue))
}

fn binding(setup: &RabbitmqSetup, queue: &str, routing_key: &str) -> String {
    format!(
        "rabbitmqadmin --vhost=\"$VHOST\" declare binding source={} destination={} routing_key={}",
        quoted(&setup.exchange),
        quoted(queue),
        quoted(routing_key)
    )
}

fn permission(grant: &Permissions) -> String {
    let user = if grant.who == "PARTICIPANT" { "$PARTICIPANT" } else { "$AGENT" };
    let [configure, write, read] = [&grant.configure, &grant.write, &grant.read].map(|text| quoted(text));
    format!("rabbitmqctl set_permissions --vhost \"$VHOST\" \"{user}\" {configure} {write} {read}")
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
