//! The HTTP API: liveness, readiness, metrics, what is known of chains, and operators' hands.
//!
//! It runs on its own threads and reads only what is committed, so that it answers also while the worker is busy.

mod actions;
mod api;
mod audit;
mod chains;
mod feed;
mod filter;
mod gate;
mod health;
mod openapi;
mod operations;
mod picture;
mod problem;
mod query;
mod resources;
mod server;
mod token;

pub use api::Api;
pub use picture::picture;
pub use problem::Problem;
pub use resources::{Door, Resource, resources};
pub use server::{dropped, router, serve};
pub use token::{Token, Tokens};
