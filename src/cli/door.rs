//! Whom the agent listens to over HTTP, and whose word it believes: secrets are fetched here (S8.1, S8.4).

use std::{net::SocketAddr, sync::Arc};

use super::config;
use crate::{
    audit::Log,
    http::{Token, Tokens},
    policy::load::{Config, Loaded},
    trust::Trust,
    wire::WireLimits,
};

/// Where HTTP is answered, and to whom.
pub(super) struct Door {
    pub listen: SocketAddr,
    pub tokens: Tokens,
    pub audit: Arc<Log>,
    pub limits: WireLimits,
}

impl Door {
    /// What the configuration says.
    ///
    /// # Errors
    /// Why a token cannot be had, with the place where it is named.
    pub fn new(loaded: &Loaded, audit: Arc<Log>) -> Result<Self, String> {
        let config = &loaded.config;
        let own = config::token(config).map_err(|why| {
            let origin = loaded.origins.get("http.token").map_or("configuration", String::as_str);
            format!("{origin}: error: `http.token`: {why}")
        })?;
        let tokens =
            own.as_ref().map(Token::new).into_iter().chain(config.http.tokens.iter().map(Token::named)).collect();
        Ok(Self { listen: config.http.listen, tokens, audit, limits: config.limits.clone() })
    }
}

/// What has to be signed, and what the agent signs with.
///
/// # Errors
/// Which key cannot be had, and why.
pub(super) fn trust(config: &Config) -> Result<Trust, String> {
    Trust::new(&config.trust, config.engine.max_age, config::fetch)
}
