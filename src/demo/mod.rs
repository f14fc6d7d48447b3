//! The demo: a shop of small services on a bus, a bad release of one of them, and the agent that finds where orders fail
//! and takes back what was half done. At the end every unit of money and stock is accounted for.
//!
//! On the embedded bus ([`here`]) nothing is installed, and the same seed gives the same run: time is counted, not taken.
//! The same shop works over a real broker (`there`), beside an agent that runs by itself.
//!
//! Its services are written with the participant kit as any service is ([`crate::participant`]).

mod account;
mod books;
mod drive;
pub mod here;
mod order;
mod service;
mod shop;
mod speech;
mod story;
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
pub mod there;
mod trade;
mod weather;

pub use account::{Account, Item};
pub use drive::{Drive, Plan};
pub use story::Counts;
