//! TLS on both sides: the agent knows the broker by its certificate, and the broker the agent.

use std::sync::{OnceLock, PoisonError};

use crate::{
    broker::{Broker, free_port, own_with},
    certificates::{AUTHORITY, Certificates},
    tls::{is_turned_away, works},
    world::World,
};

struct Secure {
    certificates: Certificates,
    port: u16,
}

fn secure() -> &'static Secure {
    static SECURE: OnceLock<Secure> = OnceLock::new();
    SECURE.get_or_init(|| {
        let certificates = Certificates::new("rabbitmq-certificates");
        ["broker", "agent"].iter().for_each(|name| certificates.issue(name));
        Secure { certificates, port: free_port() }
    })
}

/// The broker of this run, which is killed.
pub fn own() -> &'static Broker {
    let Secure { certificates, port } = secure();
    own_with(|_| {
        format!(
            "listeners.ssl.default = 127.0.0.1:{port}\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            certificates.path(&format!("{AUTHORITY}.pem")),
            certificates.path("broker.pem"),
            certificates.path("broker.key")
        )
    })
}

#[test]
fn who_is_known_gets_in_and_whoever_does_not_is_told_why() {
    let _alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    own();
    let Secure { certificates, port } = secure();
    let mut world = World::new("secure");
    world.url = Some(format!("amqps://127.0.0.1:{port}"));
    let trusts = |name: &str| format!("ca_file = \"{}\"\n", certificates.path(&format!("{name}.pem")));
    let is = |certificates: &Certificates, name: &str| {
        let file = |end: &str| certificates.path(&format!("{name}{end}"));
        format!("certificate_file = \"{}\"\nkey = {{ file = \"{}\" }}\n", file(".pem"), file(".key"))
    };
    let elsewhere = Certificates::new("rabbitmq-strangers");
    elsewhere.issue("stranger");
    for (more, why) in [
        (is(certificates, "agent"), "UnknownIssuer"),
        (trusts(AUTHORITY), "ertificate"),
        (trusts(AUTHORITY) + &is(&elsewhere, "stranger"), "UnknownCA"),
    ] {
        world.more = more;
        let agent = world.start("a");
        is_turned_away(&agent, why);
        assert!(agent.terminate().success());
    }
    world.more = trusts(AUTHORITY) + &is(certificates, "agent");
    works(&world);
}
