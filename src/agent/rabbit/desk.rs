//! Operators' requests on RabbitMQ: messages to the agent's queue of operations.

use std::sync::Arc;

use prost::Message as _;

use crate::{
    agent::{Desk, Sent, desk::Share, host_now, vouch},
    bus::{
        Outgoing,
        layout::Topics,
        rabbit::{
            Mailbox,
            message::{Letter, letter},
            source::{OPERATIONS, Way},
        },
    },
    trust::{Kind, Trust},
    wire::proto::Operation,
};

/// Where operators' requests are handed in.
pub(super) struct RabbitDesk {
    mailbox: Mailbox,
    topics: Topics,
    exchange: String,
    trust: Arc<Trust>,
    share: Option<Share>,
}

impl RabbitDesk {
    pub fn new(mailbox: Mailbox, topics: Topics, exchange: String, trust: Arc<Trust>, share: Option<Share>) -> Self {
        Self { mailbox, topics, exchange, trust, share }
    }

    fn letter(&self, operation: &Operation) -> Result<Letter, String> {
        let mut record = Outgoing::keyed(&self.topics.operations, &operation.chain_id, operation.encode_to_vec());
        vouch::sign(&self.trust, Kind::Operation, &mut record);
        let letter = letter(&record, &self.topics, &self.exchange, host_now())?;
        let way = Way { exchange: self.exchange.clone(), routing_key: OPERATIONS.to_owned(), mandatory: true };
        Ok(Letter { way, ..letter })
    }
}

impl Desk for RabbitDesk {
    /// One for each part of the chains: whoever has it answers for it.
    fn engines(&self) -> i32 {
        self.share.as_ref().map_or(1, |share| share.all)
    }

    fn closed(&self) -> Option<String> {
        let why = "this instance stands by for the one that has the journal, and publishes nothing: ask that one";
        (!self.mailbox.is_open()).then(|| why.to_owned())
    }

    fn may_be_unanswered(&self) -> bool {
        self.share.is_some()
    }

    fn send<'a>(&'a self, operation: &'a Operation, _engine: Option<i32>) -> Sent<'a> {
        Box::pin(async move {
            let answer = self.mailbox.post(self.letter(operation)?).await;
            answer.unwrap_or_else(|_| Err("the agent is ending".to_owned()))
        })
    }
}
