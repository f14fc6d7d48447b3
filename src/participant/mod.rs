//! The participant kit: for services that take part in chains and can undo what they did (S4.3, S5).
//!
//! **Read commands with `isolation.level=read_committed`**: the agent writes them in transactions, and a command that was
//! not committed is none. (`consumer` has the settings; it is there with the feature `kafka`.)
//!
//! Three parts, each of use without the next:
//!
//! - [`Messages`] writes envelopes: calls inside calls, answers, events, retries. What the agent would refuse is an error
//!   here already, and ids are derived, so that a handler that runs again publishes the same messages.
//! - [`rules`] says what a service has to do with an original or a command, given what it remembers of the effect: pure
//!   functions, for any database and any runtime.
//! - [`Participant`] carries that out over a blocking [`Store`]: the **barrier**. It and the business change are one
//!   transaction, so that an effect is applied at most once and undone at most once, whatever is lost, repeated or late:
//!   after an answer `done`, `not_needed` or `absent` the original is refused, should it still arrive. The statements
//!   are few enough for any database: see [`rules`].
//!
//! `docs/participants.md` is the guide: topics, the tables of a SQL store, what to do in other languages.
//!
//! # A small payment service
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use countermand::participant::{
//!     Call, Effect, Failure, How, MemoryStore, MemoryTx, Messages, Order, Participant, Reply, Service, Undone,
//! };
//! use countermand::wire::{self, WireLimits, proto::{self, ResultState}};
//!
//! type Accounts = MemoryStore<String, i64>;
//!
//! struct Payment;
//!
//! impl Service<Accounts> for Payment {
//!     fn handle(&self, books: &mut MemoryTx<'_, String, i64>, call: &Call<'_>) -> Result<Reply, Failure> {
//!         if call.operation() != "Charge" {
//!             return Err(Failure::last("UNKNOWN_OPERATION"));
//!         }
//!         let amount = amount(call.payload())?;
//!         let left = books.get(&"alice".into()).copied().unwrap_or(0) - amount;
//!         if left < 0 {
//!             return Err(Failure::business("CARD_DECLINED"));
//!         }
//!         books.put("alice".into(), left);
//!         Ok(Reply::ok().payload("shop/Amount", amount.to_string()))
//!     }
//!
//!     fn undo(&self, books: &mut MemoryTx<'_, String, i64>, order: &Order<'_>) -> Result<Undone, Failure> {
//!         // What was made is in our own answer: the request may say something else, or be too large for the command.
//!         let amount = amount(order.response())?;
//!         let left = books.get(&"alice".into()).copied().unwrap_or(0) + amount;
//!         books.put("alice".into(), left);
//!         Ok(Undone::done())
//!     }
//! }
//!
//! fn amount(payload: &[u8]) -> Result<i64, Failure> {
//!     let text = std::str::from_utf8(payload).map_err(|_| Failure::last("BAD_AMOUNT"))?;
//!     text.parse().map_err(|_| Failure::last("BAD_AMOUNT"))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Accounts::holding([("alice".to_owned(), 100)]);
//! let mut payment = Participant::new(Messages::of("payment").version("3.1"), store.clone(), Payment);
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//!
//! // The order service asks for a charge, inside of a call that it handles itself.
//! let order = Messages::of("order").version("1.4");
//! let place = Messages::of("gateway").begin("order-7", "place", "order", "PlaceOrder").sent(now)?;
//! let charge = order
//!     .within(&place)?
//!     .request("charge", "payment", "Charge")
//!     .timeout(Duration::from_secs(2))
//!     .effect(Effect::undone_by("Refund").accepts_in_doubt())
//!     .payload("shop/Amount", "30")
//!     .sent(now)?;
//!
//! // It is delivered twice, and charged once; both times the same answer is published.
//! let heard = payment.request(&charge, now)?;
//! assert_eq!((heard.how, heard.messages.len()), (How::Handled, 1));
//! assert_eq!(payment.request(&charge, now)?.messages, heard.messages);
//! assert_eq!(store.read(|accounts| accounts["alice"]), 70);
//!
//! // The agent says to undo it. A command comes as bytes; here it is made by hand.
//! let command = proto::Command {
//!     command_id: "0123456789abcdef0123456789abcdef".into(),
//!     chain_id: charge.chain_id.clone(),
//!     call_id: charge.call_id.clone(),
//!     action: proto::Action::Undo.into(),
//!     certainty: proto::Certainty::Applied.into(),
//!     operation: "Refund".into(),
//!     ..Default::default()
//! };
//! # use prost::Message as _;
//! # let bytes = command.encode_to_vec();
//! let command = wire::decode_command(&bytes[..], &WireLimits::default())?;
//! let answered = payment.command(&command, now)?.expect("it is for us");
//! assert_eq!(answered.result.state(), ResultState::Done);
//! assert_eq!(store.read(|accounts| accounts["alice"]), 100);
//!
//! // Whatever still arrives changes nothing.
//! assert_eq!(payment.command(&command, now)?, Some(answered));
//! assert_eq!(payment.request(&charge, now)?.how, How::Refused);
//! assert_eq!(store.read(|accounts| accounts["alice"]), 100);
//! # Ok(())
//! # }
//! ```

mod carry;
#[cfg(feature = "kafka")]
mod consumer;
mod draft;
mod effect;
mod handle;
mod ids;
mod memory;
mod messages;
mod record;
mod result;
pub mod rules;
mod service;
mod sign;
mod store;
mod time;

/// The code in the guide compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../docs/participants.md")]
struct Guide;

#[cfg(feature = "kafka")]
pub use consumer::{consumer, producer};
pub use draft::{Event, Request, Response};
pub use effect::Effect;
pub use handle::{Error, Heard, How, Participant};
pub use ids::{DerivedIds, Ids};
pub use memory::{MemoryError, MemoryLimits, MemoryStore, MemoryTx};
pub use messages::{Handling, Messages, Scope};
pub use record::{EffectKey, Record, State};
pub use result::{Answer, Answered};
pub use service::{Call, Failure, Order, Reply, Service, Undone};
pub use sign::{CommandGate, NotTaken, Signed, Signing};
pub use store::{Store, Transaction};
