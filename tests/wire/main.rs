//! The contract: what is refused and what is read, and that nothing is lost on the way to JSON or bytes and back.

mod json;
mod published;
mod refusals;
mod roundtrip;
mod sample;
mod scan;
