//! Operators' requests on RabbitMQ: messages to the agent's queue of operations.

use prost::Message as _;

use crate::{
    agent::{Desk, Sent, host_now},
    bus::{
        Outgoing,
        layout::Topics,
        rabbit::{
            Mailbox,
            message::{Letter, letter},
            source::{OPERATIONS, Way},
        },
    },
    wire::proto::Operation,
};

/// Where operators' requests are handed in.
pub(super) struct RabbitDesk {
    mailbox: Mailbox,
    topics: Topics,
    exchange: String,
}

impl RabbitDesk {
    pub fn new(mailbox: Mailbox, topics: Topics, exchange: String) -> Self {
        Self { mailbox, topics, exchange }
    }

    fn letter(&self, operation: &Operation) -> Result<Letter, String> {
        let record = Outgoing::keyed(&self.topics.operations, &operation.chain_id, operation.encode_to_vec());
        let letter = letter(&record, &self.topics, &self.exchange, host_now())?;
        let way = Way { exchange: self.exchange.clone(), routing_key: OPERATIONS.to_owned(), mandatory: true };
        Ok(Letter { way, ..letter })
    }
}

impl Desk for RabbitDesk {
    fn engines(&self) -> i32 {
        1
    }

    fn send<'a>(&'a self, operation: &'a Operation, _engine: Option<i32>) -> Sent<'a> {
        Box::pin(async move {
            let answer = self.mailbox.post(self.letter(operation)?).await;
            answer.unwrap_or_else(|_| Err("the agent is ending".to_owned()))
        })
    }
}
