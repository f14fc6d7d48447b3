//! No container engine runs where this is tested, so `docker-compose.yml` and the `Dockerfile` are held to what can be
//! read off them: pinned versions, health before dependence, nothing published beyond this machine, and a Kafka whose
//! listeners lead its clients back to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compose() -> Value {
    serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("docker-compose.yml is YAML")
}

/// The services by name.
fn services() -> BTreeMap<String, Value> {
    serde_yaml_ng::from_value(compose()["services"].clone()).expect("services is a map")
}

fn service(name: &str) -> Value {
    services().remove(name).unwrap_or_else(|| panic!("there is a service {name}"))
}

/// A list of strings; an absent one is empty.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        list => serde_yaml_ng::from_value(list.clone()).expect("a list of strings"),
    }
}

/// The environment of a service, which must be a map of strings: YAML would make a number of `1` and a truth of `no`.
fn environment(service: &Value) -> BTreeMap<String, String> {
    serde_yaml_ng::from_value(service["environment"].clone()).expect("environment is a map of quoted strings")
}

/// Whether an image names one version: `name:1.2.3` or `name:12.12-slim`, with or without a word after the numbers.
fn is_pinned(image: &str) -> bool {
    let Some((_, tag)) = image.rsplit_once(':') else { return false };
    let version = tag.split_once('-').map_or(tag, |(version, _)| version);
    let numbers: Vec<_> = version.split('.').collect();
    numbers.len() >= 2 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

/// `NAME://host:port,...` as name to host and port.
fn listeners(list: &str) -> BTreeMap<String, (String, u16)> {
    list.split(',')
        .map(|listener| {
            let (name, address) = listener.split_once("://").expect("a listener is NAME://host:port");
            let (host, port) = address.rsplit_once(':').expect("a listener has a port");
            (name.to_owned(), (host.to_owned(), port.parse().expect("a port")))
        })
        .collect()
}

/// Host port to container port of what a service publishes, each bound to loopback.
fn published(service: &Value) -> BTreeMap<u16, u16> {
    strings(&service["ports"])
        .iter()
        .map(|port| {
            let ports = port.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{port} is published to everybody"));
            let (host, container) = ports.split_once(':').expect("host and container port");
            (host.parse().expect("a port"), container.parse().expect("a port"))
        })
        .collect()
}

/// The folder that a service's image is built in, if it is built.
fn build_context(service: &Value) -> Option<PathBuf> {
    let build = &service["build"];
    let context = build.as_str().or_else(|| build["context"].as_str())?;
    Some(root().join(context))
}

/// The instructions of the Dockerfile, continued lines joined, comments gone.
fn dockerfile() -> Vec<(String, String)> {
    let lines: Vec<_> = read("Dockerfile").lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (instruction, rest) = line.split_once(' ').expect("an instruction has arguments");
            (instruction.to_owned(), rest.trim().to_owned())
        })
        .collect()
}

#[test]
fn pinned_means_one_version() {
    for pinned in ["apache/kafka:4.3.1", "rabbitmq:4.1.8-management", "localhost:5000/debian:12.12-slim"] {
        assert!(is_pinned(pinned), "{pinned}");
    }
    for loose in
        ["kafka", "kafka:latest", "kafka:4", "rabbitmq:management", "localhost:5000/kafka", "debian:bookworm-slim"]
    {
        assert!(!is_pinned(loose), "{loose}");
    }
}

#[test]
fn every_service_has_a_pinned_image_or_a_dockerfile() {
    for (name, service) in services() {
        match (service["image"].as_str(), build_context(&service)) {
            (Some(image), None) => assert!(is_pinned(image), "{name}: {image} names no one version"),
            (None, Some(context)) => assert!(context.join("Dockerfile").is_file(), "{name}: no Dockerfile"),
            other => panic!("{name} has neither or both of image and build: {other:?}"),
        }
    }
}

#[test]
fn every_service_tells_its_health_and_is_waited_for_healthy() {
    let services = services();
    for (name, service) in &services {
        let health = &service["healthcheck"];
        let test = strings(&health["test"]);
        assert!(test.len() >= 2 && test[0].starts_with("CMD"), "{name}: {test:?}");
        for key in ["interval", "timeout", "retries", "start_period"] {
            assert!(!health[key].is_null(), "{name}: healthcheck without {key}");
        }
        let needed: BTreeMap<String, Value> = match &service["depends_on"] {
            Value::Null => BTreeMap::new(),
            needed => serde_yaml_ng::from_value(needed.clone()).expect("depends_on is a map with conditions"),
        };
        for (other, how) in needed {
            assert!(services.contains_key(&other), "{name} depends on {other}, which is not there");
            assert_eq!(how["condition"].as_str(), Some("service_healthy"), "{name} depends on {other}");
        }
    }
    let agent = &services["agent"]["depends_on"];
    assert!(!agent["kafka"].is_null(), "the agent waits for its bus");
}

#[test]
fn nothing_is_published_beyond_this_machine() {
    let mut taken = BTreeSet::new();
    for (name, service) in services() {
        assert!(service["network_mode"].is_null(), "{name}: a network of its own choice would go round this");
        for port in published(&service).into_keys() {
            assert!(taken.insert(port), "{name}: port {port} is published twice");
        }
    }
}

#[test]
fn kafka_is_one_kraft_node() {
    let kafka = environment(&service("kafka"));
    assert_eq!(kafka["KAFKA_PROCESS_ROLES"], "broker,controller");
    assert!(!kafka.keys().any(|key| key.contains("ZOOKEEPER")));
    assert_eq!(kafka["CLUSTER_ID"].len(), 22, "16 bytes in base64 without padding");

    let (id, address) = kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"].split_once('@').expect("id@host:port");
    assert_eq!(id, kafka["KAFKA_NODE_ID"]);
    let (host, port) = address.split_once(':').expect("host:port");
    assert_eq!(host, "kafka", "the service's name");
    let controller = &listeners(&kafka["KAFKA_LISTENERS"])[&kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]];
    assert_eq!(port.parse(), Ok(controller.1), "the controller's listener");

    for (key, value) in &kafka {
        if key.ends_with("REPLICATION_FACTOR") || key.ends_with("MIN_ISR") || key.ends_with("INSYNC_REPLICAS") {
            assert_eq!(value, "1", "{key} on a single node");
        }
    }
}

#[test]
fn kafkas_listeners_lead_clients_back_to_it() {
    let service = service("kafka");
    let kafka = environment(&service);
    let bound = listeners(&kafka["KAFKA_LISTENERS"]);
    let advertised = listeners(&kafka["KAFKA_ADVERTISED_LISTENERS"]);
    let controller = &kafka["KAFKA_CONTROLLER_LISTENER_NAMES"];
    let published = published(&service);

    let ports: BTreeSet<_> = bound.values().map(|(_, port)| port).collect();
    assert_eq!(ports.len(), bound.len(), "each listener has its own port");
    let mapped: BTreeSet<_> = kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
        .split(',')
        .map(|pair| pair.split_once(':').expect("NAME:PROTOCOL").0.to_owned())
        .collect();
    assert_eq!(mapped, bound.keys().cloned().collect(), "each listener has a protocol");

    let clients: BTreeSet<_> = bound.keys().filter(|name| *name != controller).collect();
    assert_eq!(advertised.keys().collect::<BTreeSet<_>>(), clients, "all but the controller's are advertised");
    assert!(advertised.contains_key(&kafka["KAFKA_INTER_BROKER_LISTENER_NAME"]));

    for (name, (host, port)) in &advertised {
        let (on, inside) = &bound[name];
        assert!(on.is_empty() || on == "0.0.0.0", "{name} is bound to all of the container's addresses");
        match host.as_str() {
            "kafka" => assert_eq!(port, inside, "{name}: other containers reach the port itself"),
            "127.0.0.1" => assert_eq!(published.get(port), Some(inside), "{name}: the published port leads to it"),
            other => panic!("{name} is advertised as {other}, which nobody here can resolve"),
        }
    }
}

#[test]
fn the_agent_reads_a_topic_that_exists_from_an_advertised_address() {
    let command = strings(&service("agent")["command"]);
    assert_eq!(command[0], "run");
    let option = |name: &str| {
        let at = command.iter().position(|argument| argument == name).unwrap_or_else(|| panic!("no {name}"));
        &command[at + 1]
    };
    let kafka = environment(&service("kafka"));
    let advertised = listeners(&kafka["KAFKA_ADVERTISED_LISTENERS"]);
    assert!(advertised.values().any(|(host, port)| *option("--kafka") == format!("{host}:{port}")));

    let topic = option("--topics").strip_prefix("countermand.").expect("the contract's topics");
    let creator = strings(&service("topics")["command"]).join(" ");
    assert!(creator.split_whitespace().any(|word| word == topic), "the topics service creates {topic}");
    assert!(!service("agent")["depends_on"]["topics"].is_null(), "and the agent waits for that");
}

#[test]
fn the_agent_is_published_where_it_listens() {
    let agent = service("agent");
    let settings = environment(&agent);
    let listen = &settings["COUNTERMAND_HTTP__LISTEN"];
    let port = listen.strip_prefix("0.0.0.0:").expect("a published listener is bound to all addresses");
    assert!(!settings["COUNTERMAND_HTTP__TOKEN"].is_empty(), "it starts on such a listener only with a token");
    assert!(published(&agent).values().any(|inside| inside.to_string() == port));
}

#[test]
fn rabbitmq_has_the_plugins_that_the_agent_needs() {
    const TARGET: &str = ":/etc/rabbitmq/enabled_plugins:ro";
    let volumes = strings(&service("rabbitmq")["volumes"]);
    let file = volumes.iter().find_map(|volume| volume.strip_suffix(TARGET)).expect("enabled_plugins is mounted");
    let plugins = read(file);
    let plugins = plugins.trim().strip_prefix('[').and_then(|list| list.strip_suffix("].")).expect("an Erlang list");
    let plugins: Vec<_> = plugins.split(',').map(str::trim).collect();
    for plugin in ["rabbitmq_consistent_hash_exchange", "rabbitmq_stream", "rabbitmq_management"] {
        assert!(plugins.contains(&plugin), "{plugin}");
    }
}

#[test]
fn volumes_are_declared_and_used_and_mounted_files_exist() {
    let declared: BTreeMap<String, Value> = serde_yaml_ng::from_value(compose()["volumes"].clone()).expect("volumes");
    let mut used = BTreeSet::new();
    for (name, service) in services() {
        for volume in strings(&service["volumes"]) {
            let source = volume.split(':').next().expect("a source");
            if source.starts_with('.') {
                assert!(root().join(source).is_file(), "{name}: {source}");
            } else {
                used.insert(source.to_owned());
            }
        }
    }
    assert_eq!(declared.into_keys().collect::<BTreeSet<_>>(), used);
}

#[test]
fn the_image_is_pinned_checks_itself_and_runs_as_nobody_special() {
    let instructions = dockerfile();
    let all = |name: &str| -> Vec<&str> {
        instructions.iter().filter(|(is, _)| is == name).map(|(_, rest)| rest.as_str()).collect()
    };
    let from = all("FROM");
    assert_eq!(from.len(), 2, "a builder and what runs");
    for image in &from {
        let image = image.split(' ').next().expect("an image");
        assert!(is_pinned(image), "{image} names no one version");
    }
    let manifest: toml::Table = read("Cargo.toml").parse().expect("Cargo.toml");
    let toolchain = manifest["package"]["rust-version"].as_str().expect("rust-version");
    assert!(from[0].starts_with(&format!("rust:{toolchain}")), "{} does not build Rust {toolchain}", from[0]);

    assert_eq!(all("ENTRYPOINT"), ["[\"countermand\"]"]);
    assert_eq!(all("HEALTHCHECK").len(), 1);
    let user = all("USER");
    assert!(matches!(user[..], [user] if user != "root" && user != "0"), "{user:?}");
    for copied in all("COPY").iter().filter(|copied| !copied.starts_with("--from") && **copied != ". .") {
        let source = copied.split(' ').next().expect("a source");
        assert!(root().join(source).is_file(), "{source} is copied but not there");
    }
}
