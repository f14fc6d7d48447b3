//! Forms that names must have.

use regex::Regex;

use crate::model::MAX_ID_BYTES;

/// Longest name of a Kafka topic, by Kafka's own rule.
const MAX_TOPIC: usize = 249;

/// The one placeholder that a topic name may hold.
const SERVICE: &str = "{service}";

/// A name of a service, operation, attribute or header: visible, and no longer than what decoding accepts.
pub(super) fn check_name(text: &str) -> Result<(), String> {
    match text {
        "" => Err("a name cannot be empty".to_owned()),
        _ if text.len() > MAX_ID_BYTES => Err(format!("a name has at most {MAX_ID_BYTES} bytes")),
        _ if text.contains(char::is_control) || text.trim() != text => {
            Err("a name has no control characters, and no spaces at its ends".to_owned())
        }
        _ => Ok(()),
    }
}

/// A service, named without a star.
pub(super) fn check_service(text: &str) -> Result<(), String> {
    match text.contains(['*', '/']) {
        true => Err(format!("`{text}` is no service: write each by its name, without `*` and `/`")),
        false => check_name(text),
    }
}

/// A topic, as Kafka allows it.
pub(super) fn check_topic(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text {
        "" => Err("a topic name cannot be empty".to_owned()),
        "." | ".." => Err(format!("Kafka has no topic `{text}`")),
        _ if text.len() > MAX_TOPIC => Err(format!("a topic name has at most {MAX_TOPIC} characters")),
        _ => match text.chars().find(|c| !legal(*c)) {
            Some(c) => Err(format!("`{c}` cannot stand in a topic name: letters, digits, `.`, `_` and `-` can")),
            None => Ok(()),
        },
    }
}

/// Longest name of a queue or an exchange, by AMQP's own rule.
const MAX_QUEUE: usize = 255;

/// A queue or an exchange, as AMQP allows it.
pub(super) fn check_queue(text: &str) -> Result<(), String> {
    match text {
        "" => Err("a name cannot be empty".to_owned()),
        _ if text.len() > MAX_QUEUE => Err(format!("a name has at most {MAX_QUEUE} bytes")),
        _ if text.starts_with("amq.") => Err(format!("`{text}`: names that begin with `amq.` are RabbitMQ's own")),
        _ => check_name(text),
    }
}

/// A topic to read: its name, or a pattern that begins with `^`.
pub(super) fn check_topic_or_pattern(text: &str) -> Result<(), String> {
    match text.strip_prefix('^') {
        Some("") => Err("`^` alone is no pattern: write `^shop[.].*` or the like".to_owned()),
        Some(_) => check_name(text).and_then(|()| topic_pattern(text).map(|_| ())),
        None => check_topic(text).map_err(|message| match text.contains(['*', '[', '(', '?', '+', '|']) {
            true => format!("{message}; a pattern begins with `^`: write `^{text}`"),
            false => message,
        }),
    }
}

/// A pattern of topics, which matches whole names only, whichever of its alternatives comes first.
///
/// # Errors
/// What is wrong with it, and where, in one line.
pub fn topic_pattern(text: &str) -> Result<Regex, String> {
    // First as it was written, so that the message is about that.
    let pattern = Regex::new(text).and_then(|_| Regex::new(&format!("^(?:{text})$")));
    pattern.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("`{text}` matches too much for {limit} bytes: write a simpler pattern")
        }
        error => {
            // The lines before it draw the pattern with a mark.
            let text_of = error.to_string();
            let why = text_of.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("`{text}` is no pattern: {why}; `\\` before a sign takes it as it is, `.*` is any text")
        }
    })
}

/// A topic name in which `{service}` may stand.
pub(super) fn check_service_topic(text: &str) -> Result<(), String> {
    check_topic(&text.replace(SERVICE, "s")).map_err(|message| match text.contains('{') {
        true => format!("{message}; the only placeholder is `{SERVICE}`"),
        false => message,
    })
}

/// A broker, `host:port`.
pub(super) fn check_broker(text: &str) -> Result<(), String> {
    if text.contains(',') {
        return Err("write several brokers as a list: [\"a:9092\", \"b:9092\"]".to_owned());
    }
    if text.contains("://") {
        return Err(format!("`{text}` is not `host:port`: leave the scheme out"));
    }
    let host_and_port = text.rsplit_once(':');
    match host_and_port {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => check_name(host),
        _ => Err(format!(
            "`{text}` is not `host:port`: write `{}:9092`",
            if text.is_empty() { "localhost" } else { text }
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_broker, check_service_topic, check_topic_or_pattern};

    #[test]
    fn what_kafka_would_refuse_is_refused_with_what_to_write() {
        assert!(check_topic_or_pattern("^shop[.].*").is_ok() && check_topic_or_pattern("shop.calls").is_ok());
        assert!(check_topic_or_pattern("shop.*").unwrap_err().ends_with("write `^shop.*`"));
        assert!(check_service_topic("cmd.{service}").is_ok());
        assert!(check_service_topic("cmd.{svc}").unwrap_err().ends_with("`{service}`"));
        assert!(check_broker("[::1]:9092").is_ok());
        assert!(check_broker("kafka").unwrap_err().ends_with("write `kafka:9092`"));
        assert!(check_broker("kafka:0").is_err() && check_broker("a:1,b:2").is_err());
    }
}
