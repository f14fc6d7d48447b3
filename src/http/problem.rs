//! Errors as RFC 9457 problem details, each with what to do about it.

use axum::{
    extract::rejection::{BytesRejection, PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::policy::{Word as _, load::Role};

/// Why a request is not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong this time.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    /// The operation that was asked for; empty: none was.
    pub operation_id: String,
}

/// Seconds after which what is too much now may be asked again.
const RETRY_AFTER: &str = "1";

impl Problem {
    /// A problem; its title is the status in words.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), hint: hint.into(), operation_id: String::new() }
    }

    /// Something that is not here.
    #[must_use]
    pub fn not_found(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail, hint)
    }

    /// A request that cannot be read.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail, hint)
    }

    /// A request that was read and says what cannot be.
    #[must_use]
    pub fn unprocessable(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail, hint)
    }

    /// A request that what it is about does not allow, as it stands.
    #[must_use]
    pub fn conflict(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail, hint)
    }

    /// Something that cannot be done now.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail, hint)
    }

    /// A caller that did not show the token.
    #[must_use]
    pub fn unauthorized(detail: &str) -> Self {
        let hint = "send the header `Authorization: Bearer TOKEN`, with the token that `http.token` of the agent's \
                    configuration says the place of, or one of `http.tokens`";
        Self::new(StatusCode::UNAUTHORIZED, detail, hint)
    }

    /// A caller whose token does not let him do that.
    #[must_use]
    pub fn needs(needed: Role, has: Role) -> Self {
        let detail = format!("this needs the role `{}`, and the token has `{}`", needed.word(), has.word());
        Self::new(
            StatusCode::FORBIDDEN,
            detail,
            "ask somebody who may, or have `http.tokens` give the token another role",
        )
    }

    /// The same, of an operation.
    #[must_use]
    pub fn of(mut self, operation_id: &str) -> Self {
        operation_id.clone_into(&mut self.operation_id);
        self
    }

    /// As it is sent.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Problem"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "hint": self.hint,
        });
        if !self.operation_id.is_empty() {
            body["operation_id"] = self.operation_id.clone().into();
        }
        body
    }
}

/// A part of the path that is no text.
impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text(), "write ids as UTF-8, percent-encoded")
    }
}

/// A body that is too large or breaks off.
impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a body has at most {} bytes", super::gate::MAX_BODY);
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail, "say it in fewer words");
        }
        Self::bad_request(rejection.body_text(), "send the body whole")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, self.body().to_string()).into_response();
        let more = match self.status {
            // RFC 9110 asks for it with every 401.
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        };
        if let Some((name, value)) = more {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
