//! What the shop's messages carry: an order, as protobuf.

use prost::Message as _;

use crate::wire::proto::Any;

/// The type of an order inside of an `Any`.
const TYPE: &str = "type.countermand.dev/shop.v1.Order";

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

impl Order {
    /// The order as the payload of a message.
    #[must_use]
    pub fn to_any(&self) -> Any {
        Any { type_url: TYPE.to_owned(), value: self.encode_to_vec().into() }
    }

    /// The order in the payload of a message; `None`: there is none.
    #[must_use]
    pub fn from_any(any: &Any) -> Option<Self> {
        (any.type_url == TYPE).then(|| Self::decode(&*any.value).ok()).flatten()
    }
}
