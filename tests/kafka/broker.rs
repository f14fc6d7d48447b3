//! The broker of this test run.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Where Kafka is. The first caller starts it, unless one was named.
pub fn bootstrap() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| match std::env::var("COUNTERMAND_KAFKA") {
        Ok(address) => address,
        Err(_) => start(),
    })
}

fn start() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("scripts/brokers");
    let port = free_ports().to_string();
    let folder = root.join(format!("target/brokers/test-{}", std::process::id()));
    let started = Command::new(&script)
        .args(["kafka", "start", "--port", &port, "--dir"])
        .arg(&folder)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("no Kafka: {} cannot be run: {error}", script.display()));
    assert!(
        started.status.success(),
        "no Kafka: `scripts/brokers kafka start` failed (its words are above). Install what it needs with \
         `scripts/setup`, or start a broker yourself and set COUNTERMAND_KAFKA=HOST:PORT"
    );
    stop_with_us(&script, &port, &folder);
    String::from_utf8(started.stdout).expect("an address").trim().to_owned()
}

/// Tests have no common end, so a shell waits for this process to be gone and stops the broker then.
fn stop_with_us(script: &PathBuf, port: &str, folder: &PathBuf) {
    let wait = "while kill -0 \"$1\" 2>/dev/null; do sleep 0.5; done
                \"$2\" kafka kill --port \"$3\" --dir \"$4\" && rm -rf \"$4\"";
    Command::new("setsid")
        .args(["sh", "-c", wait, "sh", &std::process::id().to_string()])
        .arg(script)
        .arg(port)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell that stops the broker");
}

/// A free port whose successor is free too: the controller listens there.
fn free_ports() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = first.local_addr().expect("its number").port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two free ports in a row");
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}
