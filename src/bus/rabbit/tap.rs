//! Reading a RabbitMQ beside the agent: streams, copies of what is published to exchanges, and queues whose messages are
//! given back.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use lapin::{ExchangeKind, options::ExchangeDeclareOptions, protocol::AMQPSoftError, types::FieldTable};

use super::{
    Address, Rabbit, Setup, Status,
    source::{Kind, Source},
    topology::{answer, channel},
};
use crate::{bus::Record, model::HostTime, tap};

/// Whether an exchange is there.
///
/// # Errors
/// If the broker does not answer.
pub fn has_exchange(address: &Address, exchange: &str) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let connection = address.named("looks").connect().await?;
        let opened = channel(&connection).await.map_err(|refused| refused.to_string())?;
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let asked = opened.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default());
        let found = match answer(&format!("exchange {exchange}"), asked).await {
            Ok(()) => Ok(true),
            Err(refused) if refused.is(&AMQPSoftError::NOTFOUND) => Ok(false),
            Err(refused) => Err(refused.to_string()),
        };
        super::close(&connection).await;
        found
    })
}

/// A RabbitMQ that is only looked at. Its lanes are its sources, in their order; messages are numbered as they come.
#[derive(Debug)]
pub struct RabbitSource {
    rabbit: Rabbit,
    sources: Vec<Source>,
    /// By lane: how many were handed out.
    read: Vec<u64>,
    waiting: VecDeque<(usize, Record)>,
    /// Nothing is acknowledged, so that all of it is there again afterwards.
    gives_back: bool,
}

impl RabbitSource {
    /// Begins to read these sources. With `gives_back` at most `prefetch` messages of each are read, and all of them are there
    /// again once this is dropped.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn open(
        address: Address,
        sources: Vec<Source>,
        prefetch: u16,
        gives_back: bool,
        now: fn() -> HostTime,
    ) -> io::Result<Self> {
        let mut rabbit = Rabbit::new(Setup {
            address,
            exchange: String::new(),
            dead_letters: String::new(),
            told: String::new(),
            sources: sources.clone(),
            prefetch,
            only_looks: true,
            now,
            status: Arc::new(Status::default()),
        });
        rabbit.begin(&[])?;
        Ok(Self { rabbit, read: vec![0; sources.len()], sources, waiting: VecDeque::new(), gives_back })
    }

    /// What keeps it from reading; `None`: nothing.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        // It publishes nothing.
        self.rabbit.status().trouble_reading()
    }

    /// Whether it is connected, or was.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.connections() > 0
    }

    fn connections(&self) -> u64 {
        self.rabbit.status().connections.load(Ordering::Relaxed)
    }

    /// Why what is read has a gap: what is published to an exchange between two connections is not copied.
    fn gap(&self) -> Result<(), String> {
        let copies = self.sources.iter().any(|source| matches!(source.kind, Kind::Copy { .. }));
        match copies && self.connections() > 1 {
            true => Err("the connection to the broker broke, and what was published meanwhile is missing".to_owned()),
            false => Ok(()),
        }
    }

    fn at(&self, lane: usize) -> (&str, i32) {
        (&self.sources[lane].topic, self.sources[lane].partition)
    }
}

impl tap::Source for RabbitSource {
    fn poll(&mut self, wait: Duration) -> Result<Option<(usize, Record)>, String> {
        if self.waiting.is_empty() {
            self.gap()?;
            for came in self.rabbit.take(wait) {
                let lane = self.sources.iter().position(|source| source.topic == came.record.topic);
                let Some(lane) = lane else { continue };
                let offset = self.read[lane];
                self.read[lane] += 1;
                self.waiting.push_back((lane, Record { offset, ..came.record }));
            }
            if !self.gives_back {
                self.rabbit.acknowledge();
            }
        }
        Ok(self.waiting.pop_front())
    }

    fn is_at_end(&self, lane: usize) -> bool {
        let (topic, partition) = self.at(lane);
        self.waiting.is_empty() && self.rabbit.is_at_end(topic, partition)
    }

    fn position(&self, lane: usize) -> u64 {
        self.read[lane]
    }

    fn answers(&self) -> bool {
        self.trouble().is_none()
    }

    fn hold(&mut self, lane: usize, hold: bool) -> Result<(), String> {
        let (topic, partition) = self.at(lane);
        self.rabbit.hold(topic, partition, hold);
        Ok(())
    }
}
