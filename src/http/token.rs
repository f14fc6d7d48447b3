//! The token that callers must show (S8.4).

use std::hint::black_box;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::policy::load::SecretText;

/// The token, as what it hashes to: two texts are compared by hashes of one length, so that neither how long the token is
/// nor how much of it was guessed shows in how long the comparison takes.
pub struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// The token that callers must show.
    #[must_use]
    pub fn new(secret: &SecretText) -> Self {
        Self(Sha256::digest(secret.reveal().as_bytes()).into())
    }

    /// Whether a request shows it.
    ///
    /// # Errors
    /// Why not. No message says more of the token than that.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else {
            return Err("this needs one `Authorization` header with a bearer token");
        };
        let (scheme, token) = value.as_bytes().split_at_checked(BEARER.len()).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(BEARER) {
            return Err("this needs a bearer token, and the request shows something else");
        }
        if self.is(token.trim_ascii()) { Ok(()) } else { Err("the token that the request shows is another one") }
    }

    /// Looks at every byte, whatever the ones before it said.
    fn is(&self, token: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(token).into();
        let differing =
            self.0.iter().zip(shown).fold(0, |differing, (own, other)| black_box(differing | (own ^ other)));
        black_box(differing) == 0
    }
}

/// The scheme, in any case, and the space behind it.
const BEARER: &[u8] = b"bearer ";
