//! The way of operators' requests to the engines.

use std::{future::Future, pin::Pin};

use crate::wire::proto::Operation;

/// Whether a request was sent: waited for.
pub type Sent<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Where operators' requests are handed in. They reach their engine as inputs on the bus, since it may be another
/// instance's.
pub trait Desk: Send + Sync {
    /// Engines that a request to all is for.
    fn engines(&self) -> i32;

    /// Sends a request to the engine of its chain, or to that of a number. An error: whether it arrived is not known.
    fn send<'a>(&'a self, operation: &'a Operation, engine: Option<i32>) -> Sent<'a>;
}
