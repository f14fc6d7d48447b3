//! The way of operators' requests to the engines, and what they are called.

use std::{future::Future, pin::Pin};

use crate::wire::proto::Operation;

/// Whether a request was sent: waited for.
pub type Sent<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Where operators' requests are handed in. They reach their engine as inputs on the bus, since it may be another
/// instance's.
pub trait Desk: Send + Sync {
    /// Engines that a request to all is for.
    fn engines(&self) -> i32;

    /// Why nothing can be handed in here; `None`: it can.
    fn closed(&self) -> Option<String> {
        None
    }

    /// Whether a request for a chain that nobody has is answered by nobody.
    fn may_be_unanswered(&self) -> bool {
        false
    }

    /// Sends a request to the engine of its chain, or to that of a number. An error: whether it arrived is not known.
    fn send<'a>(&'a self, operation: &'a Operation, engine: Option<i32>) -> Sent<'a>;
}

/// The part of an agent that shares the chains of a bus with others. Each hears all requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The numbers of what it has, under which a request to all is for it.
    pub own: Vec<i32>,
    /// They are of so many.
    pub all: i32,
}

impl Share {
    /// Whether an operation on all engines is for another agent. One that says in its id for no engine is for all of them.
    #[must_use]
    pub fn is_elsewhere(&self, operation_id: &str) -> bool {
        engine_of(operation_id).is_some_and(|number| !self.own.contains(&number))
    }
}

/// Between the key of a request and what is asked for under it.
const OF_KEY: char = '.';

/// Between the name of a request to all engines and the number of one of them.
const OF_ENGINE: char = '-';

/// The name of what is asked for under a key of the caller's, `what` being a hash of it. It says itself that something
/// else was asked for under the same key, to every instance that hears of it.
#[must_use]
pub fn keyed(key: &str, what: &str) -> String {
    format!("{key}{OF_KEY}{what}")
}

/// The name of one engine's part in a request to all of them.
#[must_use]
pub fn of_engine(name: &str, engine: i32) -> String {
    format!("{name}{OF_ENGINE}{engine}")
}

/// The number of the engine that a part of a request to all engines is for; `None`: it says none.
#[must_use]
pub fn engine_of(operation_id: &str) -> Option<i32> {
    let (_, number) = operation_id.rsplit_once(OF_ENGINE)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}

/// The request that an operation is a part of, and the key that it was asked for under: the request's whole name where
/// there was none.
#[must_use]
pub fn request_of(operation_id: &str) -> (&str, &str) {
    let name = match operation_id.rsplit_once(OF_ENGINE) {
        Some((name, _)) if engine_of(operation_id).is_some() => name,
        _ => operation_id,
    };
    (name, name.split_once(OF_KEY).map_or(name, |(key, _)| key))
}

#[cfg(test)]
mod tests {
    use super::{engine_of, keyed, of_engine, request_of};

    #[test]
    fn an_operation_says_which_request_and_which_key_it_is_of() {
        let name = keyed("4bf9", "12ab");
        assert_eq!(request_of(&name), (name.as_str(), "4bf9"));
        assert_eq!(request_of(&of_engine(&name, 11)), (name.as_str(), "4bf9"));
        assert_eq!(
            (engine_of("4bf9-11"), engine_of("4bf9-"), engine_of("4bf9-+1"), engine_of("4bf9")),
            (Some(11), None, None, None)
        );
        assert_eq!(request_of("4bf9"), ("4bf9", "4bf9"));
        assert_eq!(request_of("by-hand"), ("by-hand", "by-hand"), "other programs write operations, too");
    }
}
