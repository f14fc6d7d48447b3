//! What the shop's messages carry, as protobuf: an order, and what was moved for it.

use prost::Message as _;

use crate::wire::proto::Any;

/// An order. Every service of the shop gets it whole and does its part.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Order {
    /// Its number, from 1.
    #[prost(uint32, tag = "1")]
    pub number: u32,
    /// Who buys.
    #[prost(string, tag = "2")]
    pub customer: String,
    /// What.
    #[prost(string, tag = "3")]
    pub article: String,
    /// How many.
    #[prost(uint32, tag = "4")]
    pub pieces: u32,
    /// For how much in all, in cents.
    #[prost(uint32, tag = "5")]
    pub cents: u32,
    /// The run that it is of: part of its chain's id, since a bus may see many runs. Empty: the only one.
    #[prost(string, tag = "6")]
    pub run: String,
}

/// What the ids of a run's chains begin with.
#[must_use]
pub fn prefix(run: &str) -> String {
    if run.is_empty() { "order-".to_owned() } else { format!("order-{run}-") }
}

/// What a service did: an undo moves it back.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Moved {
    /// From which account.
    #[prost(string, tag = "1")]
    pub from: String,
    /// To which.
    #[prost(string, tag = "2")]
    pub to: String,
    /// How much.
    #[prost(int64, tag = "3")]
    pub amount: i64,
}

impl Moved {
    /// Its type inside of an `Any`.
    pub const TYPE: &str = "type.countermand.dev/shop.v1.Moved";
}

impl Order {
    /// Its type inside of an `Any`.
    pub const TYPE: &str = "type.countermand.dev/shop.v1.Order";

    /// The order in the payload of a message; `None`: there is none.
    #[must_use]
    pub fn from_any(any: &Any) -> Option<Self> {
        (any.type_url == Self::TYPE).then(|| Self::decode(&*any.value).ok()).flatten()
    }
}
