//! TLS and a password.

use std::sync::PoisonError;

use crate::{
    certificates::AUTHORITY,
    tls::{is_turned_away, works},
    ways::{PASSWORD, USER, own, ways},
    world::World,
};

/// Settings of the client: whom it trusts, and what it says that its password is.
fn properties(trusts: &str, password: &str) -> String {
    let file = ways().certificates.path("password");
    std::fs::write(&file, format!("{password}\n")).expect("a file");
    let trusts = ways().certificates.path(trusts);
    format!(
        r#"
            [kafka.properties]
            "security.protocol" = "SASL_SSL"
            "sasl.mechanism" = "PLAIN"
            "sasl.username" = "{USER}"
            "sasl.password" = {{ file = "{file}" }}
            "ssl.ca.location" = "{trusts}"
        "#
    )
}

#[test]
fn who_is_known_gets_in_and_whoever_does_not_is_told_why() {
    let _alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    own();
    let mut world = World::new("secure");
    world.brokers = Some(format!("127.0.0.1:{}", ways().secure));
    ways().certificates.issue("stranger");
    let (trusted, stranger) = (format!("{AUTHORITY}.pem"), "stranger.pem");
    for (trusts, password, why) in [
        (trusted.as_str(), "wrong-password", "uthentication failed"),
        (stranger, PASSWORD, "certificate verify failed"),
    ] {
        world.more = properties(trusts, password);
        let agent = world.start("a");
        is_turned_away(&agent, why);
        assert!(!agent.log().contains(password), "{}", agent.log());
        assert!(agent.terminate().success());
    }
    world.more = properties(&trusted, PASSWORD);
    works(&world);
}
