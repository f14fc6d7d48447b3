//! What a service that does not know us brings back in its reply, so that it is known whose answer it is.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// What every correlation begins with: no id of anybody else is taken for one.
const PREFIX: &str = "cm1.";

/// A chain and a command of it, as a text without spaces that any service can pass through: `cm1.`, the chain's id in base64
/// for URLs, a dot, and the command's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlation {
    /// The chain.
    pub chain_id: String,
    /// The command.
    pub command_id: String,
}

impl Correlation {
    /// That of a command.
    #[must_use]
    pub fn of(chain_id: &str, command_id: &str) -> Self {
        Self { chain_id: chain_id.to_owned(), command_id: command_id.to_owned() }
    }

    /// Reads one; `None`: it is none. It has no limit of its own: ids have theirs where they are looked up.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (chain, command_id) = text.strip_prefix(PREFIX)?.split_once('.')?;
        let chain_id = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(chain).ok()?).ok()?;
        let is_whole = !chain_id.is_empty() && command_id.len() == 32;
        (is_whole && command_id.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then(|| Self { chain_id, command_id: command_id.to_owned() })
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}.{}", BASE64_URL_SAFE_NO_PAD.encode(&self.chain_id), self.command_id)
    }
}

#[cfg(test)]
mod tests {
    use super::Correlation;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let command = "0123456789abcdef0123456789abcdef";
        for chain in ["c", "a.b/c ü", &"x".repeat(300)] {
            let correlation = Correlation::of(chain, command);
            assert_eq!(Correlation::read(&correlation.to_string()), Some(correlation));
        }
        for other in [
            "",
            "cm1.",
            "cm1.Yw.short",
            "cm2.Yw.0123456789abcdef0123456789abcdef",
            "cm1..0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(Correlation::read(other), None, "{other}");
        }
    }
}
