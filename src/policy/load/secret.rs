//! Secrets: the configuration says where one is, never what it is (S8.4).

use std::fmt;

/// Where a secret is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In this variable of the environment.
    Env(String),
    /// In this file; white space at its end is no part of it.
    Path(String),
}

/// A secret itself. It has no `Display`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(hidden)")
    }
}

impl SecretText {
    /// A secret as it was read; `None`: nothing is there. White space at its end is no part of it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Some(text.trim_end()).filter(|secret| !secret.is_empty()).map(|secret| Self(secret.to_owned()))
    }

    /// The secret, for the one place that has to show it to somebody.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret, if it can be shown as a bearer token: visible ASCII without spaces, as RFC 6750 has it.
    ///
    /// # Errors
    /// A sentence that says what to do, and nothing of the secret.
    pub fn as_token(self) -> Result<Self, String> {
        if self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(self);
        }
        Err("it holds spaces or characters beyond ASCII, which no caller can send: choose 32 letters and digits or more"
            .to_owned())
    }
}

impl Secret {
    /// Fetches the secret through `env`, which knows variables, and `read`, which reads files.
    ///
    /// # Errors
    /// A sentence that says where it was looked for, and why it is not there: absent, unreadable or empty.
    pub fn resolve(
        &self,
        env: impl FnOnce(&str) -> Option<String>,
        read: impl FnOnce(&str) -> std::io::Result<String>,
    ) -> Result<SecretText, String> {
        let text = match self {
            Self::Env(name) => env(name).ok_or_else(|| format!("the variable `{name}` is not set"))?,
            Self::Path(path) => read(path).map_err(|error| format!("the file `{path}` cannot be read: {error}"))?,
        };
        SecretText::of(&text).ok_or_else(|| format!("{self} is empty"))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable `{name}`"),
            Self::Path(path) => write!(f, "the file `{path}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_found_or_missed_with_its_place_and_never_shown() {
        let file = Secret::Path("token".into());
        let found = file.resolve(|_| None, |_| Ok("s3same\n".into())).unwrap();
        assert_eq!(found.reveal(), "s3same");
        assert!(!format!("{found:?}").contains("s3same"));
        let error = Secret::Env("SHOP_TOKEN".into()).resolve(|_| Some(" \n".into()), |_| unreachable!()).unwrap_err();
        assert_eq!(error, "the variable `SHOP_TOKEN` is empty");
    }
}
