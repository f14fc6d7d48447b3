//! The tokens that callers must show, and what each lets them do (S8.1, S8.4).

use std::{hint::black_box, sync::Arc};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::policy::load::{Role, SecretText, TokenConfig};

/// A token, as what it hashes to: two texts are compared by hashes of one length, so that neither how long the token is
/// nor how much of it was guessed shows in how long the comparison takes.
#[derive(Clone)]
pub struct Token {
    sha256: [u8; 32],
    caller: Caller,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The name of his token; `None`: it has none, and he is who he says he is.
    pub name: Option<Arc<str>>,
    /// What he may do.
    pub role: Role,
}

impl Caller {
    /// Whoever reaches the port of an agent that asks for no token.
    const ANYBODY: Self = Self { name: None, role: Role::Admin };

    /// Under which name the audit keeps what he asks for, who says that he is `by`.
    pub fn who(&self, by: String) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None if by.is_empty() => "http".to_owned(),
            None => by,
        }
    }
}

impl Token {
    /// The token of whoever may do everything, and says himself who he is.
    #[must_use]
    pub fn new(secret: &SecretText) -> Self {
        Self { sha256: hash(secret.reveal().as_bytes()), caller: Caller::ANYBODY }
    }

    /// A token of which only the hash is known.
    #[must_use]
    pub fn named(config: &TokenConfig) -> Self {
        let caller = Caller { name: Some(config.name.as_str().into()), role: config.role };
        Self { sha256: config.sha256, caller }
    }

    /// Looks at every byte, whatever the ones before it said.
    fn is(&self, shown: &[u8; 32]) -> bool {
        let differing =
            self.sha256.iter().zip(shown).fold(0, |differing, (own, other)| black_box(differing | (own ^ other)));
        black_box(differing) == 0
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// All tokens that callers can show. With none, nobody has to show one.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<Token>);

impl From<Option<Token>> for Tokens {
    fn from(token: Option<Token>) -> Self {
        Self(token.into_iter().collect())
    }
}

impl FromIterator<Token> for Tokens {
    fn from_iter<I: IntoIterator<Item = Token>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

impl Tokens {
    /// Who sends a request.
    ///
    /// # Errors
    /// Why that is nobody. No message says more of a token than that.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, &'static str> {
        if self.0.is_empty() {
            return Ok(Caller::ANYBODY);
        }
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else {
            return Err("this needs one `Authorization` header with a bearer token");
        };
        let (scheme, token) = value.as_bytes().split_at_checked(BEARER.len()).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(BEARER) {
            return Err("this needs a bearer token, and the request shows something else");
        }
        let shown = hash(token.trim_ascii());
        // Each is looked at, so that it does not show which one it was.
        let found = self.0.iter().fold(None, |found, known| if known.is(&shown) { Some(known) } else { found });
        found.map(|known| known.caller.clone()).ok_or("the token that the request shows is another one")
    }
}

/// The scheme, in any case, and the space behind it.
const BEARER: &[u8] = b"bearer ";
