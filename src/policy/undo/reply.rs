//! What the reply of a service that does not know us means.

use serde_json::Value;

use crate::{
    model::ResultState,
    policy::{
        Pattern,
        payloads::{at_path, word_of},
    },
};

/// Where in a reply its meaning stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyPlace {
    /// A header, by its name.
    Header(String),
    /// A field of its body.
    Body(Vec<String>),
}

/// What prefixes the name of a header where a field of the body could stand, too.
const HEADER: &str = "header:";

impl ReplyPlace {
    /// Reads `header:NAME`, or the path of a field in the body.
    ///
    /// # Errors
    /// Why it is neither.
    pub fn read(text: &str) -> Result<Self, String> {
        match text.strip_prefix(HEADER) {
            Some("") => Err("`header:` names no header".to_owned()),
            Some(name) => Ok(Self::Header(name.to_owned())),
            None if text.split('.').any(str::is_empty) => {
                Err(format!("`{text}` is no field: write `status`, `order.status` or `header:x-status`"))
            }
            None => Ok(Self::Body(text.split('.').map(str::to_owned).collect())),
        }
    }

    /// The place as it is written.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Header(name) => format!("{HEADER}{name}"),
            Self::Body(path) => path.join("."),
        }
    }
}

/// How replies are read: the word at a place, and which words mean what. Of the patterns that match, the most specific one
/// counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyRule {
    /// Where the word stands.
    pub place: ReplyPlace,
    /// What words mean.
    pub words: Vec<(Pattern, ResultState)>,
}

impl ReplyRule {
    /// What a reply means, and the word that says so. `header` and `body` find what is in it. `None`: it says nothing that is
    /// known.
    #[must_use]
    pub fn judge(
        &self,
        header: impl FnOnce(&str) -> Option<String>,
        body: impl FnOnce() -> Option<Value>,
    ) -> Option<(ResultState, String)> {
        let word = match &self.place {
            ReplyPlace::Header(name) => header(name)?,
            ReplyPlace::Body(path) => word_of(at_path(&body()?, path)?)?,
        };
        let matching = self.words.iter().filter(|(pattern, _)| pattern.matches(&word));
        let state = matching.max_by_key(|(pattern, _)| pattern.weight()).map(|(_, state)| *state)?;
        Some((state, word))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ReplyPlace, ReplyRule};
    use crate::{model::ResultState, policy::Pattern};

    #[test]
    fn the_most_specific_word_counts_and_an_unknown_one_says_nothing() {
        let word = |text: &str, state| (Pattern::new(text).unwrap(), state);
        let words = vec![
            word("ERR*", ResultState::Failed),
            word("ERR_BUSY", ResultState::Retryable),
            word("200", ResultState::Done),
        ];
        let rule = ReplyRule { place: ReplyPlace::read("result.code").unwrap(), words };
        let judge = |code: serde_json::Value| {
            rule.judge(|_| None, || Some(json!({"result": {"code": code}}))).map(|(state, _)| state)
        };
        assert_eq!(judge(json!("ERR_BUSY")), Some(ResultState::Retryable));
        assert_eq!(judge(json!("ERR_GONE")), Some(ResultState::Failed));
        assert_eq!(judge(json!(200)), Some(ResultState::Done));
        assert_eq!(judge(json!(201)), None);
        assert_eq!(judge(json!({})), None);
        let by_header = ReplyRule { place: ReplyPlace::read("header:x-status").unwrap(), ..rule };
        let found = by_header.judge(|name| (name == "x-status").then(|| "200".to_owned()), || None);
        assert_eq!(found, Some((ResultState::Done, "200".to_owned())));
        assert!(ReplyPlace::read("a..b").is_err() && ReplyPlace::read("header:").is_err());
    }
}
