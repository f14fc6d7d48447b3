//! Settings of the Kafka client that the agent must decide itself, each with the reason.

use super::{client::CLIENT_SETTINGS, hint};

/// Names that are refused in `kafka.properties`, with what to do instead, or why there is nothing to do.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set `kafka.brokers`"),
    ("metadata.broker.list", "set `kafka.brokers`"),
    ("client.id", "set `kafka.client_id`"),
    ("group.id", "set `kafka.group`"),
    ("group.instance.id", "the agent joins anew after a restart; its name is `kafka.instance`"),
    ("group.protocol", "hand-over must go through the agent, within one poll"),
    ("group.remote.assignor", "assignment must be `range`, so that equal partitions of all inputs meet"),
    ("partition.assignment.strategy", "assignment must be `range`, so that equal partitions of all inputs meet"),
    ("session.timeout.ms", "set `kafka.session_timeout`"),
    ("auto.offset.reset", "set `kafka.start`"),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    ("enable.auto.commit", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("isolation.level", "inputs are read committed: an aborted message is no message"),
    ("enable.partition.eof", "the agent must know when it has read to the end"),
    ("fetch.queue.backoff.ms", "set `kafka.fetch_backoff`"),
    ("fetch.wait.max.ms", "set `kafka.fetch_wait`"),
    ("transactional.id", "it is made of `kafka.group` and `kafka.instance`"),
    ("transaction.timeout.ms", "set `kafka.transaction_timeout`"),
    ("message.timeout.ms", "it follows `kafka.transaction_timeout`"),
    ("delivery.timeout.ms", "it follows `kafka.transaction_timeout`"),
    ("enable.idempotence", ONCE),
    ("enable.gapless.guarantee", ONCE),
    ("acks", ONCE),
    ("request.required.acks", ONCE),
    ("max.in.flight", ONCE),
    ("max.in.flight.requests.per.connection", ONCE),
    ("retries", ONCE),
    ("message.send.max.retries", ONCE),
    ("linger.ms", BURST),
    ("queue.buffering.max.ms", BURST),
    ("retry.backoff.ms", BURST),
    ("retry.backoff.max.ms", BURST),
    ("partitioner", "a chain must go to the same partition whoever writes: it is `murmur2_random`"),
    ("statistics.interval.ms", "the agent learns from them how far it has read"),
    ("plugin.library.paths", "the agent loads no foreign code"),
    ("opaque", "it is for programs only"),
    ("ssl_key", "it is for programs only: set `ssl.key.location` or `ssl.key.pem`"),
    ("ssl_certificate", "it is for programs only: set `ssl.certificate.location` or `ssl.certificate.pem`"),
    ("ssl_ca", "it is for programs only: set `ssl.ca.location` or `ssl.ca.pem`"),
];

const OFFSETS: &str = "offsets are committed together with what was done, in one transaction";
const ONCE: &str = "transactions need it as it is";
const BURST: &str = "a commit is one burst, and any wait in it delays every command";

/// Ends of names whose value is a secret.
const SECRET_ENDS: [&str; 4] = ["password", "passphrase", ".secret", "key.pem"];

/// Properties that end like the place of a secret, but are the path of a file to the client itself.
pub(super) const PATHS: [&str; 2] =
    ["sasl.oauthbearer.assertion.private.key.file", "sasl.oauthbearer.assertion.jwt.template.file"];

/// Whether the value of a property is a secret (S8.4).
pub(super) fn is_secret_property(key: &str) -> bool {
    SECRET_ENDS.iter().any(|end| key.ends_with(end))
}

/// Whether a property may be passed through.
///
/// # Errors
/// Why not, and what to set instead.
pub(super) fn check_property(key: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
    if key.is_empty() || key.len() > 100 || !key.chars().all(legal) {
        return Err(format!("`{key}` is no name of a client setting: write it as in `security.protocol`"));
    }
    if key.ends_with("_cb") {
        return Err(format!("`{key}` is for programs only"));
    }
    match OWNED.iter().find(|(owned, _)| *owned == key) {
        Some((_, why)) => Err(format!("`{key}` is not yours to set: {why}")),
        None if CLIENT_SETTINGS.binary_search(&key).is_ok() => Ok(()),
        None => Err(match hint::nearest(key, CLIENT_SETTINGS.iter().copied()) {
            Some(near) => format!("the Kafka client has no setting `{key}`: did you mean `{near}`?"),
            None => {
                format!("the Kafka client has no setting `{key}`: librdkafka's CONFIGURATION.md lists those it has")
            }
        }),
    }
}
