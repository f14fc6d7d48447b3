//! Errors as RFC 9457 problem details.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a request is not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What kind of problem it is, in a few words that stay the same.
    pub title: &'static str,
    /// What is wrong this time, and what to do about it.
    pub detail: String,
}

impl Problem {
    /// Something that is not here.
    #[must_use]
    pub fn not_found(detail: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "not found", detail }
    }

    /// Something that cannot be done now.
    #[must_use]
    pub fn unavailable(detail: &str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, title: "unavailable", detail: detail.to_owned() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
