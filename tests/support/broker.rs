//! A broker of a test run: one that was named, or one that `scripts/brokers` starts for it.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::{
    ffi::OsStr,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
};

/// What differs between kinds of brokers.
#[derive(Clone, Copy)]
pub struct Kind {
    /// What people call it.
    pub name: &'static str,
    /// What `scripts/brokers` calls it.
    pub word: &'static str,
    /// The variable that names one that runs.
    pub variable: &'static str,
    /// What that variable holds.
    pub form: &'static str,
    /// What stands before host and port in its address.
    pub scheme: &'static str,
    /// Ports in a row that it takes.
    pub ports: u16,
    /// What its folder is called, before the number of this process.
    pub folder: &'static str,
}

/// A broker, by its script, port and folder; without them if it is somebody else's.
pub struct Broker {
    pub address: String,
    kind: Kind,
    script: PathBuf,
    port: String,
    folder: PathBuf,
}

impl Broker {
    /// The one that was named, else a new one.
    pub fn find(kind: Kind) -> Self {
        std::env::var(kind.variable).map_or_else(|_| Self::launch(kind), |address| Self::named(kind, address))
    }

    fn named(kind: Kind, address: String) -> Self {
        Self { address, kind, script: PathBuf::new(), port: String::new(), folder: PathBuf::new() }
    }

    fn launch(kind: Kind) -> Self {
        Self::launch_with(kind, |_| String::new())
    }

    /// A new one with further settings, whether one was named or not; `settings` is told its port.
    pub fn launch_with(kind: Kind, settings: impl FnOnce(u16) -> String) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let port = free_ports(kind.ports);
        let broker = Self {
            address: format!("{}127.0.0.1:{port}", kind.scheme),
            kind,
            script: root.join("scripts/brokers"),
            port: port.to_string(),
            folder: root.join(format!("target/brokers/{}-{}", kind.folder, std::process::id())),
        };
        let settings = settings(port);
        if settings.is_empty() {
            broker.start();
        } else {
            let file = std::env::temp_dir().join(format!("countermand-broker-{port}"));
            std::fs::write(&file, settings).expect("a file with settings");
            broker.call("start", &["--settings".as_ref(), file.as_os_str()]);
            std::fs::remove_file(&file).expect("no file");
        }
        broker.stop_with_us();
        broker
    }

    /// Starts it, again if it was killed, and waits until it serves.
    pub fn start(&self) {
        self.run("start", &[]);
    }

    /// Stops it cleanly.
    pub fn stop(&self) {
        self.run("stop", &[]);
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.run("kill", &[]);
    }

    /// Runs a command of `scripts/brokers` on it, with what the command takes beside.
    pub fn run(&self, command: &str, more: &[&str]) {
        let more: Vec<&OsStr> = more.iter().map(OsStr::new).collect();
        self.call(command, &if more.is_empty() { more } else { [&["--".as_ref()], more.as_slice()].concat() });
    }

    fn call(&self, command: &str, more: &[&OsStr]) {
        let Kind { name, word, variable, form, .. } = self.kind;
        let mut script = Command::new(&self.script);
        script.args([word, command, "--port", &self.port, "--dir"]).arg(&self.folder).args(more);
        let done = script.stdout(Stdio::null()).status();
        let done = done.unwrap_or_else(|error| panic!("no {name}: {} cannot be run: {error}", self.script.display()));
        assert!(
            done.success(),
            "no {name}: `scripts/brokers {word} {command}` failed (its words are above). Install what it needs with \
             `scripts/setup`, or start a broker yourself and set {variable}={form}"
        );
    }

    /// Tests have no common end, so a shell waits for this process to be gone and ends the broker then.
    fn stop_with_us(&self) {
        let wait = "while kill -0 \"$1\" 2>/dev/null; do sleep 0.5; done
                    \"$2\" \"$3\" kill --port \"$4\" --dir \"$5\" && [ -z \"$COUNTERMAND_KEEP\" ] && rm -rf \"$5\"";
        let forked = Command::new("setsid")
            .args(["--fork", "sh", "-c", wait, "sh", &std::process::id().to_string()])
            .arg(&self.script)
            .args([self.kind.word, &self.port])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("a shell that ends the broker");
        assert!(forked.success(), "no shell to end the broker: {forked}");
    }
}

/// A free port with as many free ones behind it as make up `ports`.
fn free_ports(ports: u16) -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = first.local_addr().expect("its number").port();
        if port < u16::MAX - ports && (1..ports).all(|n| TcpListener::bind(("127.0.0.1", port + n)).is_ok()) {
            return port;
        }
    }
    panic!("no {ports} free ports in a row");
}

/// A port that is free now.
pub fn free_port() -> u16 {
    free_ports(1)
}
