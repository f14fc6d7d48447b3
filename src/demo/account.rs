//! The end of the demo: whether every unit of money and stock is accounted for.

use std::collections::BTreeMap;

use super::{
    books::{self, Row},
    order::Order,
    service::{Answer, Service, chain_of},
    shop::{Amount, OPERATIONS, Operation},
};

/// One thing that was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What.
    pub what: String,
    /// How much there should be.
    pub expected: i64,
    /// How much there is.
    pub found: i64,
    /// Whether it is money, in cents.
    pub is_money: bool,
}

impl Item {
    /// Whether it is as it should be.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.expected == self.found
    }
}

/// The accounts of a shop that is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Orders.
    pub orders: usize,
    /// Orders that were placed.
    pub delivered: usize,
    /// Orders that failed.
    pub failed: usize,
    /// Orders whose answer came so late that the shop does not know whether it counts.
    pub unsure: usize,
    /// Effects that were taken back.
    pub undone: i64,
    /// Requests that came after they were taken back, and were refused.
    pub refused: u32,
    /// What was counted.
    pub items: Vec<Item>,
    /// Orders that are half there, in words. Empty: none.
    pub wrong: Vec<String>,
}

impl Account {
    /// Counts everything.
    #[must_use]
    pub fn of(services: &BTreeMap<&'static str, Service>, orders: &[Order], answers: &BTreeMap<u32, Answer>) -> Self {
        let mut account = Self { orders: orders.len(), ..Self::default() };
        let mut delivered: Vec<&Order> = Vec::new();
        // A mail to a customer who had given up before the answer came cannot be taken back.
        let mut mails_in_vain = 0;
        let mailer = services.get(super::shop::MAILER);
        for order in orders {
            let there = effects_of(services, order);
            let is_whole = there.iter().all(|(_, times)| *times == 1);
            let placed = match answers.get(&order.number) {
                Some(Answer::Placed) => true,
                Some(Answer::Failed) => {
                    account.failed += 1;
                    false
                }
                Some(Answer::TooLate) => {
                    account.unsure += 1;
                    is_whole
                }
                None => {
                    account.wrong.push(format!("{}: the gateway never had an answer", chain_of(order)));
                    is_whole
                }
            };
            if placed {
                delivered.push(order);
            } else if answers.get(&order.number) == Some(&Answer::TooLate) {
                let mails = |mailer: &Service| books::value(mailer.books(), &Row::Order(chain_of(order)));
                mails_in_vain += mailer.map_or(0, mails).min(1);
            }
            account.check(order, &there, placed);
        }
        account.delivered = delivered.len();
        for operation in OPERATIONS {
            let (Some(what), Some(service)) = (operation.work.moves(), services.get(operation.service)) else {
                continue;
            };
            let moved: i64 = delivered.iter().map(|order| what.of(order).amount).sum();
            let begun = books::sum(service.books());
            // All come from one account.
            let from = delivered.first().or(orders.first().as_ref()).map(|order| what.of(order).from);
            let left = books::value(service.books(), &Row::Account(from.unwrap_or_default()));
            let is_money = matches!(what.amount, Amount::Cents);
            let item = |what: String, expected, found| Item { what, expected, found, is_money };
            let (gone, rest) = names(operation.service);
            account.items.push(item(format!("{}: {gone}", operation.service), moved, begun - left));
            account.items.push(item(format!("{}: {rest}", operation.service), begun - moved, left));
            account.undone += books::value(service.books(), &Row::TakenBack);
            account.refused += service.refused;
        }
        account.wrong.extend(services.values().flat_map(|service| service.troubles.iter().cloned()));
        let mails = mailer.map_or(0, |mailer| books::orders(mailer.books()));
        account.items.push(Item {
            what: "mailer: mails".to_owned(),
            expected: count(account.delivered) + mails_in_vain,
            found: mails,
            is_money: false,
        });
        account
    }

    /// An order is there whole or not at all.
    fn check(&mut self, order: &Order, there: &[(&'static Operation, i64)], is_placed: bool) {
        let chain = chain_of(order);
        for (Operation { service, name, .. }, times) in there {
            match (is_placed, times) {
                (true, 1) | (false, 0) => {}
                (true, 0) => self.wrong.push(format!("{chain} was placed without {service} {name}")),
                (false, 1) => self.wrong.push(format!("{chain} failed, and {service} {name} was not taken back")),
                (_, times) => self.wrong.push(format!("{chain}: {service} {name} was done {times} times")),
            }
        }
    }

    /// Whether the agent found as many failed chains as the shop had.
    #[must_use]
    pub fn fits(&self, failed: usize) -> bool {
        (self.failed..=self.failed + self.unsure).contains(&failed)
    }

    /// Whether everything is accounted for.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.wrong.is_empty() && self.items.iter().all(Item::is_right)
    }
}

/// Whether some effects of an order are in the books and some are not.
#[must_use]
pub fn is_half(services: &BTreeMap<&'static str, Service>, order: &Order) -> bool {
    let there = effects_of(services, order);
    there.iter().any(|(_, times)| *times != there[0].1)
}

/// How often each effect of an order is in the books.
fn effects_of(services: &BTreeMap<&'static str, Service>, order: &Order) -> Vec<(&'static Operation, i64)> {
    let row = Row::Order(chain_of(order));
    let moving = OPERATIONS.iter().filter(|operation| operation.work.moves().is_some());
    let times = |operation: &Operation| services.get(operation.service).map_or(0, |it| books::value(it.books(), &row));
    moving.map(|operation| (operation, times(operation))).collect()
}

/// What a service calls what left its account, and what is left.
fn names(service: &str) -> (&'static str, &'static str) {
    match service {
        "payment" => ("in the till", "with the customers"),
        "inventory" => ("lamps sold", "lamps on the shelf"),
        "loyalty" => ("points given", "points in the pool"),
        _ => ("parcels booked", "places free"),
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
