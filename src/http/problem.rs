//! Errors as RFC 9457 problem details.

use axum::{
    extract::rejection::QueryRejection,
    http::{HeaderValue, StatusCode, header},
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
    /// What is wrong this time.
    pub detail: String,
    /// What to do about it; empty: the detail says it.
    pub hint: &'static str,
}

impl Problem {
    /// Something that is not here.
    #[must_use]
    pub fn not_found(detail: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "not found", detail, hint: "" }
    }

    /// A request that says what cannot be.
    #[must_use]
    pub fn bad_request(detail: String, hint: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "bad request", detail, hint }
    }

    /// A request that what it is about does not allow, as it stands.
    #[must_use]
    pub fn conflict(detail: String, hint: &'static str) -> Self {
        Self { status: StatusCode::CONFLICT, title: "conflict", detail, hint }
    }

    /// A request that is not taken from this caller.
    #[must_use]
    pub fn forbidden(detail: &str) -> Self {
        Self { status: StatusCode::FORBIDDEN, title: "forbidden", detail: detail.to_owned(), hint: "" }
    }

    /// Something that cannot be done now.
    #[must_use]
    pub fn unavailable(detail: &str) -> Self {
        let detail = detail.to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, title: "unavailable", detail, hint: "" }
    }

    /// A caller that did not show the token.
    #[must_use]
    pub fn unauthorized(detail: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            title: "unauthorized",
            detail: detail.to_owned(),
            hint: "send the header `Authorization: Bearer TOKEN`, with the token that `http.token` of the agent's \
                   configuration says the place of",
        }
    }
}

/// A query that cannot be read, or that names a filter which there is not.
impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text(), "")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.hint.is_empty() {
            body["hint"] = self.hint.into();
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, body.to_string()).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 asks for it with every 401.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
