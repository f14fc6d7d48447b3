//! The broker of this test run.
#![allow(dead_code, reason = "the modules are shared by several test programs")]

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

static BROKER: OnceLock<Broker> = OnceLock::new();

/// Where RabbitMQ is. The first caller starts it, unless one was named.
pub fn url() -> &'static str {
    &BROKER.get_or_init(|| std::env::var("COUNTERMAND_AMQP").map_or_else(|_| Broker::launch(), Broker::named)).url
}

/// A broker that is started for this run even if one was named: a test that kills it needs its own.
pub fn own() -> &'static Broker {
    BROKER.get_or_init(Broker::launch)
}

/// A broker, by its script, port and folder; without them if it is somebody else's.
pub struct Broker {
    url: String,
    script: PathBuf,
    port: String,
    folder: PathBuf,
}

impl Broker {
    fn named(url: String) -> Self {
        Self { url, script: PathBuf::new(), port: String::new(), folder: PathBuf::new() }
    }

    fn launch() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let port = free_ports();
        let broker = Self {
            url: format!("amqp://127.0.0.1:{port}"),
            script: root.join("scripts/brokers"),
            port: port.to_string(),
            folder: root.join(format!("target/brokers/rabbitmq-test-{}", std::process::id())),
        };
        broker.start();
        broker.stop_with_us();
        broker
    }

    /// Starts it, again if it was killed, and waits until it serves.
    pub fn start(&self) {
        self.run(&["start"], &[]);
    }

    /// Stops it cleanly.
    pub fn stop(&self) {
        self.run(&["stop"], &[]);
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.run(&["kill"], &[]);
    }

    /// `rabbitmqctl`.
    pub fn control(&self, args: &[&str]) {
        self.run(&["ctl"], args);
    }

    fn run(&self, command: &[&str], more: &[&str]) {
        let done = Command::new(&self.script)
            .arg("rabbitmq")
            .args(command)
            .args(["--port", &self.port, "--dir"])
            .arg(&self.folder)
            .arg("--")
            .args(more)
            .stdout(Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("no RabbitMQ: {} cannot be run: {error}", self.script.display()));
        assert!(
            done.success(),
            "no RabbitMQ: `scripts/brokers rabbitmq {command:?}` failed (its words are above). Install what it needs with \
             `scripts/setup`, or start a broker yourself and set COUNTERMAND_AMQP=amqp://HOST:PORT"
        );
    }

    /// Tests have no common end, so a shell waits for this process to be gone and ends the broker then.
    fn stop_with_us(&self) {
        let wait = "while kill -0 \"$1\" 2>/dev/null; do sleep 0.5; done
                    \"$2\" rabbitmq kill --port \"$3\" --dir \"$4\" && [ -z \"$COUNTERMAND_KEEP\" ] && rm -rf \"$4\"";
        let forked = Command::new("setsid")
            .args(["--fork", "sh", "-c", wait, "sh", &std::process::id().to_string()])
            .arg(&self.script)
            .arg(&self.port)
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("a shell that ends the broker");
        assert!(forked.success(), "no shell to end the broker: {forked}");
    }
}

/// A free port with five free ones behind it.
fn free_ports() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = first.local_addr().expect("its number").port();
        if port < u16::MAX - 5 && (1..6).all(|n| TcpListener::bind(("127.0.0.1", port + n)).is_ok()) {
            return port;
        }
    }
    panic!("no six free ports in a row");
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}
