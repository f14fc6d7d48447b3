//! The HTTP API of a running agent: what its document says is what it answers, to whom, and how much.

#![cfg(feature = "agent")]

mod client;
mod document;
mod events;
mod hands;
mod limits;
mod shop;
