//! The shop: which services there are, what each does on a request, and which order they do it in.

use super::order::{Moved, Order};

/// What a service does on a request.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// It reads something and answers.
    Reads,
    /// It moves an amount from one of its accounts to another.
    Moves(Move),
    /// It calls others, one after the other, and answers when all have.
    Calls(&'static [Step]),
    /// It calls others, and then moves an amount.
    CallsAndMoves(&'static [Step], Move),
}

/// An amount that is moved: `{article}`, `{customer}` and `{order}` in the accounts' names are replaced.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// Where it comes from.
    pub from: &'static str,
    /// Where it goes.
    pub to: &'static str,
    /// How much of an order.
    pub amount: Amount,
    /// What undoes it.
    pub undo: &'static str,
    /// What tells whether it happened; empty: the undo is sent although that is not known.
    pub inquire: &'static str,
    /// The answer if there is not enough of it.
    pub lacking: &'static str,
}

/// How much of an order is moved.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// Its pieces.
    Pieces,
    /// Its price in cents.
    Cents,
    /// A point for each whole euro.
    Points,
    /// One.
    One,
}

/// A call that a service makes.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Whom it calls.
    pub service: &'static str,
    /// What it asks for.
    pub operation: &'static str,
    /// How long it waits, in milliseconds.
    pub timeout: u64,
}

/// What a service can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Who is asked.
    pub service: &'static str,
    /// For what.
    pub name: &'static str,
    /// What is done then.
    pub work: Work,
    /// How long that takes, in milliseconds, from and to.
    pub takes: (u64, u64),
}

/// The root of every chain: what the gateway asks the shop for.
pub const PLACE_ORDER: Step = Step { service: "order", operation: "PlaceOrder", timeout: 6_000 };

/// The event that the order service publishes once an order is placed, and who mails the customer then.
pub const PLACED: &str = "OrderPlaced";
/// See [`PLACED`].
pub const MAILER: &str = "mailer";

/// Who orders.
pub const GATEWAY: &str = "gateway";

/// All that the shop does.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        service: "order",
        name: "PlaceOrder",
        work: Work::Calls(&[
            Step { service: "inventory", operation: "Reserve", timeout: 1_000 },
            Step { service: "payment", operation: "Charge", timeout: 2_000 },
            Step { service: "loyalty", operation: "AddPoints", timeout: 1_000 },
            Step { service: "shipping", operation: "Book", timeout: 1_000 },
        ]),
        takes: (2, 6),
    },
    Operation {
        service: "inventory",
        name: "Reserve",
        work: Work::Moves(Move {
            from: "shelf/{article}",
            to: "reserved/{order}",
            amount: Amount::Pieces,
            undo: "Release",
            inquire: "",
            lacking: "SOLD_OUT",
        }),
        takes: (4, 15),
    },
    Operation {
        service: "payment",
        name: "Charge",
        work: Work::CallsAndMoves(
            &[Step { service: "fraud", operation: "Screen", timeout: 500 }],
            Move {
                from: "customers",
                to: "till",
                amount: Amount::Cents,
                undo: "Refund",
                inquire: "FindCharge",
                lacking: "NO_MONEY",
            },
        ),
        takes: (20, 60),
    },
    Operation { service: "fraud", name: "Screen", work: Work::Reads, takes: (5, 20) },
    Operation {
        service: "loyalty",
        name: "AddPoints",
        work: Work::Moves(Move {
            from: "pool",
            to: "customers",
            amount: Amount::Points,
            undo: "RemovePoints",
            inquire: "",
            lacking: "NO_POINTS",
        }),
        takes: (3, 10),
    },
    Operation {
        service: "shipping",
        name: "Book",
        work: Work::Moves(Move {
            from: "free",
            to: "booked/{order}",
            amount: Amount::One,
            undo: "CancelBooking",
            inquire: "",
            lacking: "NO_VAN",
        }),
        takes: (10, 40),
    },
];

/// The services that answer requests, and the accounts that they begin with.
pub const SERVICES: &[(&str, &str, i64)] = &[
    ("order", "", 0),
    ("inventory", "shelf/lamp", 400_000),
    ("payment", "customers", 5_000_000_000),
    ("fraud", "", 0),
    ("loyalty", "pool", 100_000_000),
    ("shipping", "free", 400_000),
];

/// All services, those that answer no request too.
pub fn names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|(name, ..)| *name).chain([GATEWAY, MAILER])
}

/// What a service does on a request for `name`; `None`: it does not know that.
#[must_use]
pub fn operation(service: &str, name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.service == service && operation.name == name)
}

impl Work {
    /// What it moves.
    #[must_use]
    pub fn moves(self) -> Option<Move> {
        match self {
            Self::Moves(what) | Self::CallsAndMoves(_, what) => Some(what),
            Self::Reads | Self::Calls(_) => None,
        }
    }

    /// The calls that it makes first.
    #[must_use]
    pub fn steps(self) -> &'static [Step] {
        match self {
            Self::Calls(steps) | Self::CallsAndMoves(steps, _) => steps,
            Self::Reads | Self::Moves(_) => &[],
        }
    }
}

impl Move {
    /// From which account to which, and how much, for an order.
    #[must_use]
    pub fn of(&self, order: &Order) -> Moved {
        let named =
            |account: &str| account.replace("{article}", &order.article).replace("{order}", &order.number.to_string());
        let amount = match self.amount {
            Amount::Pieces => i64::from(order.pieces),
            Amount::Cents => i64::from(order.cents),
            Amount::Points => i64::from(order.cents / 100),
            Amount::One => 1,
        };
        Moved { from: named(self.from), to: named(self.to), amount }
    }
}
