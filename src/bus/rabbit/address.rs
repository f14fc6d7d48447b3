//! Where a RabbitMQ is, and how to connect to it.

use std::{fmt, time::Duration};

use lapin::{
    Connection, ConnectionProperties, DefaultConnectionBuilder,
    tcp::{OwnedIdentity, OwnedTLSConfig},
    uri::AMQPUri,
};

use crate::model::Span;

/// Longest wait for a connection, and for whatever is asked over one: a queue without a leader answers nothing, ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How to connect to a RabbitMQ.
#[derive(Clone)]
pub struct Address {
    uri: AMQPUri,
    name: String,
    tls: OwnedTLSConfig,
}

/// What an [`Address`] is made of.
#[derive(Clone, Default)]
pub struct Parts {
    /// `amqp://` or `amqps://`, user, host, port and virtual host; a password may stand in it.
    pub url: String,
    /// The user's password, if it is not in the URL.
    pub password: Option<String>,
    /// What the broker calls the connections in its lists and logs.
    pub name: String,
    /// Time between two signs of life.
    pub heartbeat: Span,
    /// Certificates that are trusted beside the machine's own, in PEM.
    pub authorities: Option<String>,
    /// The client's own certificate and its key, in PEM.
    pub identity: Option<(String, String)>,
}

impl Address {
    /// Puts the parts together.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(parts: Parts) -> Result<Self, String> {
        let mut uri = parse(&parts.url)?;
        if let Some(password) = parts.password {
            uri.authority.userinfo.password = password;
        }
        let seconds = u16::try_from(parts.heartbeat.0.div_ceil(1_000)).unwrap_or(u16::MAX);
        uri.query.heartbeat.get_or_insert(seconds);
        let identity = parts
            .identity
            .map(|(certificate, key)| OwnedIdentity::PKCS8 { pem: certificate.into_bytes(), key: key.into_bytes() });
        Ok(Self { uri, name: parts.name, tls: OwnedTLSConfig { identity, cert_chain: parts.authorities } })
    }

    /// The same for a connection with this word behind its name.
    #[must_use]
    pub(super) fn named(&self, word: &str) -> Self {
        Self { name: format!("{} {word}", self.name), ..self.clone() }
    }

    /// Connects, within [`PATIENCE`].
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connecting = async {
            let builder = DefaultConnectionBuilder::new()?;
            let builder = builder.with_uri(self.uri.clone()).with_properties(properties);
            builder.with_tls_config(self.tls.clone()).connect().await
        };
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(format!("no connection to {self}: {error}")),
            Err(_) => Err(format!("no connection to {self}: no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

/// Without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        write!(f, "{scheme}://{}@{}:{}", authority.userinfo.username, authority.host, authority.port)?;
        if vhost == "/" { Ok(()) } else { write!(f, "/{vhost}") }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self}, {:?})", self.name)
    }
}

/// The URL without its password, and the password.
///
/// # Errors
/// What is wrong with the URL.
pub fn part(url: &str) -> Result<(String, Option<String>), String> {
    parse(url)?;
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let Some((user, host)) = authority.rsplit_once('@') else { return Ok((url.to_owned(), None)) };
    let Some((name, _)) = user.split_once(':') else { return Ok((url.to_owned(), None)) };
    let password = parse(url)?.authority.userinfo.password;
    Ok((format!("{scheme}://{name}@{host}{path}"), Some(password)))
}

fn parse(url: &str) -> Result<AMQPUri, String> {
    if !url.starts_with("amqp://") && !url.starts_with("amqps://") {
        return Err("write amqp://HOST:PORT, or amqps:// for TLS".to_owned());
    }
    let mut uri: AMQPUri = url.parse()?;
    // `amqp://host/` names the virtual host without a name, which nobody has.
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::{Address, Parts, part};
    use crate::model::Span;

    #[test]
    fn no_password_is_shown() {
        let (url, password) = part("amqps://shop:s%2Fcret@rabbit.example/orders?heartbeat=7").unwrap();
        assert_eq!(
            (url.as_str(), password.as_deref()),
            ("amqps://shop@rabbit.example/orders?heartbeat=7", Some("s/cret"))
        );
        assert_eq!(part("amqp://localhost").unwrap(), ("amqp://localhost".to_owned(), None));
        let parts = Parts { url, password, name: "agent".into(), heartbeat: Span::secs(10), ..Parts::default() };
        let address = Address::new(parts).unwrap();
        assert_eq!(address.to_string(), "amqps://shop@rabbit.example:5671/orders");
        assert!(!format!("{address:?}").contains("cret"));
        assert_eq!(address.uri.authority.userinfo.password, "s/cret");
        assert_eq!(address.uri.query.heartbeat, Some(7));
    }

    #[test]
    fn what_is_no_address_is_said() {
        for wrong in ["localhost:5672", "http://localhost", "amqp://host:port"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }
}
