//! Operators' requests on Kafka: records of the operations topic.

use crate::{
    agent::{Desk, Sent},
    bus::kafka::requests::Requests,
    wire::proto::Operation,
};

impl Desk for Requests {
    fn engines(&self) -> i32 {
        Self::engines(self)
    }

    fn send<'a>(&'a self, operation: &'a Operation, engine: Option<i32>) -> Sent<'a> {
        Box::pin(Self::send(self, operation, engine))
    }
}
