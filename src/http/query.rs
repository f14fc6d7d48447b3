//! Parameters of a query. Of an unknown one nobody must think that it did something.

use std::collections::BTreeMap;

use axum::extract::{Query, RawQuery};
use axum::http::Uri;

use super::problem::Problem;
use crate::policy::load::nearest;

/// What a query says.
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<&'static str, String>);

impl Params {
    /// Reads a query that may have the `known` parameters, each once.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn read(RawQuery(text): RawQuery, known: &'static [&'static str]) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self::default()) };
        let none = || match known {
            [] => "this takes no parameters".to_owned(),
            _ => format!("parameters are {}", known.join(", ")),
        };
        let uri = Uri::builder().path_and_query(format!("/?{text}")).build();
        let pairs = uri.ok().and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
        let Some(Query(pairs)) = pairs else {
            return Err(Problem::bad_request("the query cannot be read", none()));
        };
        let mut params = Self::default();
        for (name, value) in pairs {
            let Some(known) = known.iter().find(|known| **known == name) else {
                let hint = match nearest(&name, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`? {}", none()),
                    None => none(),
                };
                return Err(Problem::bad_request(format!("there is no parameter `{name}`"), hint));
            };
            if params.0.insert(known, value).is_some() {
                return Err(Problem::bad_request(format!("`{name}` is there twice"), "say it once"));
            }
        }
        Ok(params)
    }

    /// What a parameter says.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What a parameter says, as `read` understands it; `hint` says what can be said.
    ///
    /// # Errors
    /// If it does not.
    pub fn value<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
        hint: impl Fn() -> String,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || Problem::bad_request(format!("`{name}` cannot be `{text}`"), hint());
        read(text).map(Some).ok_or_else(wrong)
    }

    /// How many items a page may have.
    ///
    /// # Errors
    /// If that is none, or too many.
    pub fn page_size(&self) -> Result<usize, Problem> {
        let read = |text: &str| text.parse().ok().filter(|size| (1..=MAX_PAGE).contains(size));
        let size = self.value("limit", read, || format!("from 1 to {MAX_PAGE}"))?;
        Ok(size.unwrap_or(PAGE))
    }
}

/// Items of a page unless it is said.
const PAGE: usize = 50;

/// Items of a page at most.
const MAX_PAGE: usize = 500;
