//! A setup as lines for a shell, to be read first and pasted then.

use std::fmt::Write as _;

use super::{Grant, Principal, Resource, Setup, Topic};

/// What the lines begin with: what only the reader knows.
const HEAD: &str = "\
# What this configuration needs on Kafka. Fill in these, read what follows, and paste what applies.
# The scripts are those of Kafka's own bin folder; each takes --command-config FILE where the cluster wants a login.
";

const UNKNOWN: &str = "\
AGENT='User:NAME'        # the principal of the agent
PARTICIPANT='User:NAME'  # the principal of a service, and
SERVICE='NAME'           # its name; the lines with these two are needed once for each service
PARTITIONS=              # as many as the inputs have: all inputs the same number
REPLICAS=3
";

/// The lines. Nothing in them does what the reader did not mean: what depends is commented out.
#[must_use]
pub fn script(setup: &Setup) -> String {
    let mut out = String::from(HEAD);
    let brokers = if setup.brokers.is_empty() { "HOST:PORT".to_owned() } else { setup.brokers.join(",") };
    let _ = writeln!(out, "BOOTSTRAP={}", quoted(&brokers));
    out.push_str(UNKNOWN);
    out.push_str("\n# Topics, with these settings:\n");
    let mut said: Vec<(&str, &str)> = Vec::new();
    for setting in setup.topics.iter().flat_map(|topic| &topic.settings) {
        if !said.contains(&(setting.name, setting.why)) {
            said.push((setting.name, setting.why));
        }
    }
    said.sort_by_key(|(name, _)| *name);
    for (name, why) in said {
        let _ = writeln!(out, "# {name}: {why}");
    }
    let mut above = "";
    for topic in &setup.topics {
        if topic.role != above {
            let _ = writeln!(out, "\n# {}", title(topic));
        }
        above = topic.role;
        out.push_str(&topic_lines(topic));
    }
    for (principal, title) in [
        (Principal::Agent, "# What the agent must be allowed:"),
        (Principal::Service, "# What services must be allowed:"),
    ] {
        let of = |grant: &&Grant| grant.principal == principal;
        grants(title, &setup.grants.iter().filter(of).collect::<Vec<_>>(), &mut out);
    }
    out
}

fn title(topic: &Topic) -> String {
    let equal = match topic.equal {
        true => "as many partitions as the inputs",
        false => "any number of partitions",
    };
    let made = if topic.made { "; made by the agent if it is missing and the agent may" } else { "" };
    format!("{}: {equal}{made}", topic.role)
}

fn topic_lines(topic: &Topic) -> String {
    let mut out = String::new();
    if topic.is_pattern {
        let _ = writeln!(out, "# TOPIC is each one that {} matches", topic.name);
    }
    let name = if topic.is_pattern { "TOPIC" } else { topic.name.as_str() };
    let _ = writeln!(out, "{}{}", if topic.is_pattern { "# " } else { "" }, creation(topic, name));
    if !topic.made {
        let settings: Vec<String> =
            topic.settings.iter().map(|setting| format!("{}={}", setting.name, setting.value)).collect();
        let _ = writeln!(
            out,
            "# if it is there already: kafka-configs.sh --bootstrap-server \"$BOOTSTRAP\" --alter --entity-type topics \
             --entity-name {} --add-config {}",
            quoted(name),
            settings.join(",")
        );
    }
    out
}

/// What is always needed, then what only sometimes is; what has one reason stands together.
fn grants(title: &str, grants: &[&Grant], out: &mut String) {
    let _ = writeln!(out, "\n{title}");
    let (always, sometimes): (Vec<&Grant>, Vec<&Grant>) = grants.iter().partition(|grant| grant.only.is_empty());
    let (mut only, mut why) = ("", "");
    for grant in always.into_iter().chain(sometimes) {
        if grant.only != only {
            let _ = writeln!(out, "\n# Only if {}:", grant.only);
            (only, why) = (grant.only, "");
        }
        if grant.why != why {
            let _ = writeln!(out, "# {}", grant.why);
        }
        why = grant.why;
        let _ = writeln!(out, "{}{}", if only.is_empty() { "" } else { "# " }, acl(grant));
    }
}

/// The line that makes a topic.
pub(super) fn creation(topic: &Topic, name: &str) -> String {
    let mut line = format!(
        "kafka-topics.sh --bootstrap-server \"$BOOTSTRAP\" --create --if-not-exists --topic {} --partitions \
         \"$PARTITIONS\" --replication-factor \"$REPLICAS\"",
        quoted(name)
    );
    for setting in &topic.settings {
        let _ = write!(line, " --config {}={}", setting.name, setting.value);
    }
    line
}

/// The line that grants.
pub(super) fn acl(grant: &Grant) -> String {
    let principal = match grant.principal {
        Principal::Agent => "$AGENT",
        Principal::Service => "$PARTICIPANT",
    };
    let mut line = format!("kafka-acls.sh --bootstrap-server \"$BOOTSTRAP\" --add --allow-principal \"{principal}\"");
    for operation in &grant.operations {
        let _ = write!(line, " --operation {operation}");
    }
    let _ = match grant.resource {
        Resource::Topic => write!(line, " --topic {}", quoted(&grant.name)),
        Resource::Group => write!(line, " --group {}", quoted(&grant.name)),
        Resource::TransactionalId => write!(line, " --transactional-id {}", quoted(&grant.name)),
        Resource::Cluster => write!(line, " --cluster"),
    };
    if grant.prefixed {
        line.push_str(" --resource-pattern-type prefixed");
    }
    line
}

/// A word for a shell, with its variable where a service's name goes.
fn quoted(text: &str) -> String {
    let words = text.split(super::SERVICE).map(|part| match part {
        "" => String::new(),
        part => format!("'{}'", part.replace('\'', r"'\''")),
    });
    words.collect::<Vec<_>>().join("\"$SERVICE\"")
}
