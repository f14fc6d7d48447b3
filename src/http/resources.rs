//! What there is, in one table: the router is made from it, and the document is held against it.

use axum::{
    http::Method,
    routing::{MethodRouter, get, post},
};

use super::{actions, api::Api, audit, chains, feed, filter, health, openapi, operations};
use crate::policy::load::Role;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Whoever reaches the port: probes seldom carry secrets, and learn nothing of any chain.
    Open,
    /// Whoever shows a token, where there is one.
    Guarded,
}

/// A resource and what can be done with it.
pub struct Resource {
    /// The method; of a `GET` also `HEAD`.
    pub method: Method,
    /// Its path, with parameters in braces.
    pub path: &'static str,
    /// Who may ask.
    pub door: Door,
    /// What the holder of the token may do at least, if it is guarded.
    pub role: Role,
    /// Parameters of the query. Others are refused.
    pub query: &'static [&'static str],
    pub(super) handler: MethodRouter<Api>,
}

/// All of them. What is added is guarded unless it says otherwise.
#[must_use]
pub fn resources() -> Vec<Resource> {
    let (asking, role) = (Method::GET, Role::Viewer);
    let open = |path, handler| Resource { method: asking.clone(), path, door: Door::Open, role, query: &[], handler };
    let asked =
        |path, query, handler| Resource { method: asking.clone(), path, door: Door::Guarded, role, query, handler };
    let done =
        |path, role, handler| Resource { method: Method::POST, path, door: Door::Guarded, role, query: &[], handler };
    vec![
        open("/healthz", get(health::health)),
        open("/readyz", get(health::ready)),
        asked("/metrics", &[], get(health::metrics)),
        asked("/openapi.json", &[], get(openapi::document)),
        asked("/v1/chains", filter::OF_CHAINS, get(chains::chains)),
        asked("/v1/chains/{id}", chains::OF_A_CHAIN, get(chains::chain)),
        done("/v1/chains/{id}/actions", Role::Operator, post(actions::act)),
        asked("/v1/commands", filter::OF_COMMANDS, get(chains::commands)),
        asked("/v1/events", &[], get(feed::events)),
        asked("/v1/operations/{id}", &[], get(operations::operation)),
        done("/v1/pause", Role::Admin, post(actions::pause)),
        done("/v1/resume", Role::Admin, post(actions::resume)),
        done("/v1/brake-release", Role::Admin, post(actions::release)),
        asked("/v1/audit", audit::OF_THE_AUDIT, get(audit::audit)),
    ]
}
