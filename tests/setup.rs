//! `check --print-setup`: what a configuration needs on Kafka, as it is printed.
//!
//! `BLESS=1 cargo test --test setup` writes down what comes out; look at the difference before you keep it.

use std::{fs, path::Path, process::Command};

use countermand::{
    bus::settings::{Kept, settings},
    policy::load::{Source, load},
    setup::Setup,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn print_setup(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_countermand"))
        .current_dir(root().join("tests/fixtures/config"))
        .env_clear()
        .args(["check", "--print-setup"])
        .args(args)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Every name that can be configured, patterns and routes among them, and what comes without a configuration.
#[test]
fn the_lines_to_paste_are_those_that_were_looked_at() {
    for (name, args) in [
        ("every-setting.sh", &["--config", "every-setting.toml"][..]),
        ("every-setting.jsonl", &["--config", "every-setting.toml", "--format", "json"]),
        ("defaults.sh", &[]),
        ("rabbitmq.sh", &["--config", "rabbitmq.toml"]),
        ("rabbitmq.jsonl", &["--config", "rabbitmq.toml", "--format", "json"]),
    ] {
        let (path, actual) = (root().join("tests/fixtures/setup").join(name), print_setup(args));
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
            fs::write(&path, &actual).expect("the fixture can be written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(expected, actual, "{} differs; BLESS=1 writes it anew", path.display());
    }
}

/// Pasted into a shell the lines call Kafka's scripts with the names as they are configured.
#[test]
fn a_shell_takes_the_lines_as_they_are_meant() {
    let script = print_setup(&["--config", "every-setting.toml"]);
    let heard = "kafka-topics.sh() { echo topics \"$@\"; }\nkafka-acls.sh() { echo acls \"$@\"; }\n";
    let output = Command::new("bash").args(["-euc", &format!("{heard}{script}")]).output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    for line in printed.lines() {
        let rest = line.split_once(" --bootstrap-server a.example:9092,[::1]:9093 ").expect("each names the brokers");
        assert!(["topics", "acls"].contains(&rest.0), "{line}");
    }
    for part in [
        "--transactional-id shop- --resource-pattern-type prefixed\n",
        "--operation Read --operation Describe --topic cm.NAME.commands\n",
        "--create --if-not-exists --topic cm.state --partitions",
    ] {
        assert!(printed.contains(part), "no {part:?} in\n{printed}");
    }
}

/// And those for RabbitMQ.
#[test]
fn a_shell_takes_the_lines_for_rabbitmq_as_they_are_meant() {
    let script = print_setup(&["--config", "rabbitmq.toml"]);
    let heard = "rabbitmqadmin() { echo admin \"$@\"; }\nrabbitmqctl() { echo ctl \"$@\"; }\n";
    let output = Command::new("bash").args(["-euc", &format!("{heard}{script}")]).output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    for part in [
        "admin --vhost=/ declare exchange name=shop's type=topic durable=true\n",
        "declare binding source=shop's destination=shop's.commands.payment routing_key=commands.payment\n",
        "ctl set_permissions --vhost / NAME ^(",
    ] {
        assert!(printed.contains(part), "no {part:?} in\n{printed}");
    }
}

/// What the agent makes its topics with is what is advised.
#[test]
fn the_agents_own_settings_are_among_those_printed() {
    let source = Source { name: "x".into(), text: String::new() };
    let config = load(Some(source), [], Vec::new()).expect("all defaults").config;
    let setup = Setup::of(&config, &config.kafka);
    for topic in setup.topics.iter().filter(|topic| topic.made) {
        let kept = if topic.role == "state" { Kept::Newest } else { Kept::All };
        for (name, value) in settings(kept) {
            let found: Vec<_> = topic.settings.iter().filter(|setting| setting.name == name).collect();
            assert!(matches!(&found[..], [one] if one.value == value), "{}: {name}", topic.name);
        }
    }
}
