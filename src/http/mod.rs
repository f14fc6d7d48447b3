//! The HTTP API: liveness, readiness, metrics, and what is known of a chain.
//!
//! It runs on its own threads and reads only what is committed, so that it answers also while the worker is busy.

mod picture;
mod problem;
mod server;
mod token;

pub use picture::picture;
pub use problem::Problem;
pub use server::{router, serve};
pub use token::Token;
