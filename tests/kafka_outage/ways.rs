//! The ways to this run's broker: the usual one, one with TLS and a password, and one through a proxy.

use std::sync::OnceLock;

use crate::{
    broker::{Broker, free_port, own_with},
    certificates::{AUTHORITY, Certificates},
    proxy::Proxy,
};

/// The user of the way with TLS, and the password.
pub const USER: &str = "agent";
pub const PASSWORD: &str = "s3cret-of-the-agent";

pub struct Ways {
    pub certificates: Certificates,
    /// The port with TLS.
    pub secure: u16,
    pub proxy: Proxy,
    /// The port behind the proxy.
    behind: u16,
}

pub fn ways() -> &'static Ways {
    static WAYS: OnceLock<Ways> = OnceLock::new();
    WAYS.get_or_init(|| {
        let certificates = Certificates::new("kafka-certificates");
        certificates.issue("broker");
        let behind = free_port();
        let proxy = Proxy::start(format!("127.0.0.1:{behind}"));
        Ways { certificates, secure: free_port(), proxy, behind }
    })
}

/// The broker of this run, which is killed.
pub fn own() -> &'static Broker {
    own_with(|port| settings(port, ways()))
}

/// A broker tells its clients where it is, so that each way has an address of its own.
fn settings(port: u16, Ways { certificates, secure, proxy, behind }: &Ways) -> String {
    let address = |name: &str, port: u16| format!("{name}://127.0.0.1:{port}");
    let [usual, secure] = [address("PLAINTEXT", port), address("SECURE", *secure)];
    let [controller, behind, proxy] =
        [address("CONTROLLER", port + 1), address("BEHIND", *behind), address("BEHIND", proxy.port)];
    let plain = "listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule";
    format!(
        "listeners={usual},{controller},{secure},{behind}\n\
         advertised.listeners={usual},{secure},{proxy}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,BEHIND:PLAINTEXT\n\
         listener.name.secure.sasl.enabled.mechanisms=PLAIN\n\
         {plain} required user_{USER}=\"{PASSWORD}\";\n\
         listener.name.secure.ssl.keystore.type=PEM\n\
         listener.name.secure.ssl.keystore.location={}\n\
         listener.name.secure.ssl.truststore.type=PEM\n\
         listener.name.secure.ssl.truststore.location={}\n",
        certificates.path("broker.both"),
        certificates.path(&format!("{AUTHORITY}.pem"))
    )
}
