//! `GET /openapi.json`: what there is, for programs.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// OpenAPI 3.1. A test holds it against the router and its answers.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
