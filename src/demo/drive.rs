//! One run of the shop: orders come, a bad release goes out and is taken back, and the shop closes. What carries the
//! messages is not its business, and neither is what time it is.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use prost::Message as _;

use super::{
    account::{self, Account},
    order::Order,
    service::{Answer, Service},
    shop::{self, GATEWAY, MAILER, SERVICES},
    speech,
    story::{Counts, Story},
    weather::{BAD, GOOD, Weather},
};
use crate::{
    bus::Outgoing,
    model::{HostTime, Span},
    render::Look,
    wire::proto::Envelope,
};

/// Chains that must fail at a version of a service before the shop takes the release back.
const TOO_MANY: u32 = 20;

/// Quiet time after which nothing is under way any more.
const QUIET: Span = Span::secs(2);

/// The article that the shop sells, and its price in cents.
const ARTICLE: (&str, u32) = ("lamp", 1_999);

/// How a run is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// How long orders come.
    pub length: Span,
    /// Orders a second.
    pub rate: u32,
    /// How often the agent is killed meanwhile.
    pub kills: u32,
    /// Its name, where the bus may see many runs; else empty.
    pub run: String,
    /// How it is told.
    pub look: Look,
}

/// A run.
pub struct Drive {
    plan: Plan,
    weather: Weather,
    begun: HostTime,
    services: BTreeMap<&'static str, Service>,
    orders: Vec<Order>,
    story: Story,
    stage: Stage,
    /// When something last happened.
    busy_at: HostTime,
    /// The ids of what services said to each other and did not hear yet: while a broker is away it may be long on its way.
    on_the_way: HashSet<String>,
}

/// How far the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Well,
    Released,
    TakenBack,
    /// Since when.
    Closing(HostTime),
}

impl Drive {
    /// A run that begins now. `events` is the topic of the agent's events.
    #[must_use]
    pub fn new(plan: Plan, events: &str, now: HostTime) -> Self {
        let weather = Weather::new(plan.seed);
        let mut services: BTreeMap<&'static str, Service> = SERVICES
            .iter()
            .map(|&(name, account, amount)| (name, Service::new(name, account, amount, weather)))
            .collect();
        for name in [GATEWAY, MAILER] {
            services.insert(name, Service::new(name, "", 0, weather));
        }
        let story = Story::new(plan.look, events, &plan.run, now);
        Self {
            plan,
            weather,
            begun: now,
            services,
            orders: Vec::new(),
            story,
            stage: Stage::Well,
            busy_at: now,
            on_the_way: HashSet::new(),
        }
    }

    /// The topics that a service reads: what is said to it, and what it is told to undo.
    #[must_use]
    pub fn topics() -> Vec<String> {
        shop::names().flat_map(|name| [speech::topic_of(name), speech::commands_of(name)]).collect()
    }

    /// How the run begins.
    pub fn opening(&self) -> String {
        let rate = self.plan.rate;
        self.story.line(self.begun, &format!("the shop opens: {rate} orders a second, shipping is {GOOD}"))
    }

    /// A line of the story.
    #[must_use]
    pub fn say(&self, now: HostTime, text: &str) -> String {
        self.story.line(now, text)
    }

    /// Takes in a record's payload: what a service is told, or what the agent tells. Says what there is to print.
    pub fn hear(&mut self, topic: &str, payload: Bytes, now: HostTime) -> String {
        self.busy_at = now;
        if let Some(service) = topic.strip_prefix("shop.").and_then(|name| self.services.get_mut(name)) {
            if let Ok(envelope) = Envelope::decode(payload) {
                self.on_the_way.remove(&envelope.message_id);
                service.hear(envelope, now);
            }
            return String::new();
        }
        let commanded = topic.strip_prefix(&speech::commands_of(""));
        if let Some(service) = commanded.and_then(|name| self.services.get_mut(name)) {
            service.obey(payload, now);
            return String::new();
        }
        self.story.hear(topic, payload, now)
    }

    /// Lets the shop work up to `now`: what it says, and what there is to print.
    pub fn work(&mut self, now: HostTime) -> (Vec<Outgoing>, String) {
        let mut told = self.stage(now);
        self.take_orders(now);
        let mut said = Vec::new();
        for service in self.services.values_mut() {
            said.extend(service.due(now));
        }
        let to_services = said.iter().filter(|record| record.topic.starts_with("shop."));
        let envelopes = to_services.filter_map(|record| Envelope::decode(record.payload.as_deref()?).ok());
        self.on_the_way.extend(envelopes.map(|envelope| envelope.message_id));
        if !said.is_empty() {
            self.busy_at = now;
        }
        let delivered = self.answered(Answer::Placed);
        let orders = u32::try_from(self.orders.len()).unwrap_or(u32::MAX);
        told.push_str(&self.story.sum_up(orders, u32::try_from(delivered).unwrap_or(u32::MAX), now));
        (said, told)
    }

    /// No more orders from now on.
    pub fn close(&mut self, now: HostTime) -> String {
        if matches!(self.stage, Stage::Closing(_)) {
            return String::new();
        }
        self.stage = Stage::Closing(now);
        self.story.line(now, "the shop closes; what is under way goes on")
    }

    /// Whether all is over: nothing is under way, and nothing will come of itself; or the shop is closed and has heard nothing
    /// for longer than `patience`, and whatever is not settled never will be.
    #[must_use]
    pub fn is_over(&self, now: HostTime, patience: Span) -> bool {
        let Stage::Closing(closed_at) = self.stage else { return false };
        now.since(closed_at.max(self.busy_at)) > patience || self.is_settled(now)
    }

    fn is_settled(&self, now: HostTime) -> bool {
        let Counts { failed, settled, waiting, stuck } = self.story.counts();
        self.services.values().all(Service::is_idle)
            && self.on_the_way.is_empty()
            && now.since(self.busy_at) >= QUIET
            && failed == settled + waiting + stuck
            && self.has_all_failures(failed)
            && self.unsure_are_whole()
    }

    /// Whether nothing is half there of orders that the agent may find failed or not.
    fn unsure_are_whole(&self) -> bool {
        let is_unsure = |order: &&Order| self.answers().get(&order.number) == Some(&Answer::TooLate);
        self.orders.iter().filter(is_unsure).all(|order| !account::is_half(&self.services, order))
    }

    /// What keeps the shop from being settled, in lines of the story. Empty: nothing does.
    #[must_use]
    pub fn unsettled(&self, now: HostTime) -> String {
        let busy = self.services.iter().filter(|(_, service)| !service.is_idle()).map(|(name, _)| *name);
        let found = [
            ("failed chains of which the agent did not tell the end", few(self.story.under_way())),
            ("messages that were not heard", few(self.on_the_way.iter().map(String::as_str))),
            ("services that wait for something", few(busy)),
        ];
        let lines = found.iter().filter(|(_, names)| !names.is_empty());
        lines.map(|(what, names)| self.story.line(now, &format!("{what}: {names}"))).collect()
    }

    /// What became of the chains that failed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.story.counts()
    }

    /// Counts everything.
    #[must_use]
    pub fn account(&self) -> Account {
        Account::of(&self.services, &self.orders, self.answers())
    }

    /// Whether so many failed chains are as many as the shop knows of.
    fn has_all_failures(&self, failed: usize) -> bool {
        let (known, unsure) = (self.answered(Answer::Failed), self.answered(Answer::TooLate));
        (known..=known + unsure).contains(&failed)
    }

    fn answered(&self, answer: Answer) -> usize {
        self.answers().values().filter(|own| **own == answer).count()
    }

    fn answers(&self) -> &BTreeMap<u32, Answer> {
        &self.services[GATEWAY].answers
    }

    /// The run's course: a release, its end, and the closing of the shop.
    fn stage(&mut self, now: HostTime) -> String {
        let passed = now.since(self.begun).0;
        let share = |percent: u64| self.plan.length.0 * percent / 100;
        match self.stage {
            Stage::Well if passed >= share(20) => {
                self.release(BAD);
                self.stage = Stage::Released;
                self.story.line(now, &format!("shipping {BAD} is released"))
            }
            Stage::Released if self.story.failures_at("shipping", BAD) >= TOO_MANY || passed >= share(75) => {
                let failures = self.story.failures_at("shipping", BAD);
                let before = self.story.failures_at("shipping", GOOD);
                self.release(GOOD);
                self.stage = Stage::TakenBack;
                let text = format!(
                    "{failures} chains failed at shipping {BAD}, {before} at {GOOD} before it: the shop goes back to {GOOD}"
                );
                self.story.line(now, &text)
            }
            Stage::Well | Stage::Released | Stage::TakenBack if passed >= self.plan.length.0 => self.close(now),
            _ => String::new(),
        }
    }

    fn release(&mut self, version: &str) {
        if let Some(shipping) = self.services.get_mut("shipping") {
            shipping.release(version);
        }
    }

    fn take_orders(&mut self, now: HostTime) {
        if matches!(self.stage, Stage::Closing(_)) {
            return;
        }
        let due = now.since(self.begun).0 * u64::from(self.plan.rate) / 1000;
        while (self.orders.len() as u64) < due {
            let number = u32::try_from(self.orders.len() + 1).unwrap_or(u32::MAX);
            let mut rng = self.weather.rng(&format!("order/{number}"));
            let pieces = u32::try_from(rng.between(1, 3)).unwrap_or(1);
            let (article, price) = ARTICLE;
            let order = Order {
                number,
                customer: format!("customer-{:02}", rng.between(1, 40)),
                article: article.to_owned(),
                pieces,
                cents: price * pieces,
                run: self.plan.run.clone(),
            };
            if let Some(gateway) = self.services.get_mut(GATEWAY) {
                gateway.place(&order, now);
            }
            self.orders.push(order);
        }
    }
}

/// The first of some names, and how many there are besides.
fn few<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
