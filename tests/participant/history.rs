//! Random histories: which messages come, in which mood the service is then, and where it dies.

use countermand::{
    participant::{Effect, Messages},
    wire::proto::{self, Action, Certainty, Command, Envelope},
};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

pub const CHAIN: &str = "order-7";
pub const SERVICE: &str = "payment";

/// A call to the service. `Second` and `Third` try again what `First` asked for, under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Alone,
    First,
    Second,
    Third,
    Event,
}

impl Call {
    /// Its id, as commands name it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::First => "first",
            Self::Second => "second",
            Self::Third => "third",
            Self::Event => "told/payment",
        }
    }

    /// What it has an effect on.
    pub fn effect(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::First | Self::Second | Self::Third => "shared",
            Self::Event => "told",
        }
    }

    pub fn is_shared(self) -> bool {
        self.effect() == "shared"
    }

    /// The call as it is made.
    pub fn envelope(self) -> Envelope {
        let messages = Messages::of("order").ids(|about: &[&str]| match about {
            ["call", .., label] => (*label).to_owned(),
            _ => about.join("/"),
        });
        let now = at(0);
        if self == Self::Event {
            return messages.begin_event(CHAIN, "told", "Ordered").sent(now).expect("an event");
        }
        let effect = Effect::undone_by("Refund").accepts_in_doubt().inquired_by("Find");
        let effect = if self.is_shared() { effect.key("k") } else { effect };
        messages.begin(CHAIN, self.id(), SERVICE, "Charge").effect(effect).sent(now).expect("a request")
    }
}

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    UndoCertain,
    UndoInDoubt,
    Inquire,
    Retry,
}

/// Something that is delivered: as often, and in whatever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    Original(Call),
    /// What an open call waits for.
    News(Call),
    Command {
        act: Act,
        call: Call,
        generation: u32,
    },
}

impl Message {
    pub fn call(self) -> Call {
        match self {
            Self::Original(call) | Self::News(call) | Self::Command { call, .. } => call,
        }
    }

    pub fn command_id(self) -> String {
        match self {
            Self::Command { act, call, generation } => format!("{act:?}/{}/{generation}", call.id()),
            _ => String::new(),
        }
    }

    pub fn command(self) -> Option<Command> {
        let Self::Command { act, call, generation } = self else { return None };
        let action = match act {
            Act::UndoCertain | Act::UndoInDoubt => Action::Undo,
            Act::Inquire => Action::Inquire,
            Act::Retry => Action::Retry,
        };
        let certainty = if act == Act::UndoInDoubt { Certainty::InDoubt } else { Certainty::Applied };
        Some(Command {
            command_id: self.command_id(),
            chain_id: CHAIN.to_owned(),
            call_id: call.id().to_owned(),
            action: action.into(),
            certainty: certainty.into(),
            generation,
            target: Some(proto::Party { service: SERVICE.to_owned(), ..Default::default() }),
            operation: "Refund".to_owned(),
            call_operation: if call == Call::Event { "Ordered" } else { "Charge" }.to_owned(),
            idempotency_key: if call.is_shared() { "k" } else { "" }.to_owned(),
            ..Command::default()
        })
    }
}

/// What the handler does if it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Works,
    /// It changes something, and fails.
    Fails,
    /// It changes something, takes that back itself, and says so.
    TakesBack,
    LosesTrack {
        there: bool,
    },
    Passes,
    Waits,
    SaysThatItWaits,
}

/// Where the service dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    None,
    OnClaim,
    OnUpdate,
    OnRemember,
    BeforeCommit,
    AfterCommit,
    /// After all was done, with the answer in its hands.
    BeforeReply,
}

/// One delivery.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub message: Message,
    pub mood: Mood,
    pub death: Death,
    /// What another instance is given meanwhile, where the first one is between two transactions.
    pub meanwhile: Option<(Message, Mood)>,
}

pub fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second)
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![Just(Call::Alone), Just(Call::First), Just(Call::Second), Just(Call::Third), Just(Call::Event)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![3 => Just(Act::UndoCertain), 3 => Just(Act::UndoInDoubt), 2 => Just(Act::Inquire), 1 => Just(Act::Retry)]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        5 => call().prop_map(Message::Original),
        1 => call().prop_map(Message::News),
        3 => (act(), call(), 1..3_u32).prop_map(|(act, call, generation)| Message::Command { act, call, generation }),
    ]
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        5 => Just(Mood::Works),
        2 => Just(Mood::Fails),
        1 => Just(Mood::TakesBack),
        2 => any::<bool>().prop_map(|there| Mood::LosesTrack { there }),
        1 => Just(Mood::Passes),
        1 => Just(Mood::Waits),
        1 => Just(Mood::SaysThatItWaits),
    ]
}

fn death() -> impl Strategy<Value = Death> {
    prop_oneof![
        8 => Just(Death::None),
        1 => Just(Death::OnClaim),
        1 => Just(Death::OnUpdate),
        1 => Just(Death::OnRemember),
        1 => Just(Death::BeforeCommit),
        1 => Just(Death::AfterCommit),
        1 => Just(Death::BeforeReply),
    ]
}

pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let step = (message(), mood(), death(), prop::option::of((message(), mood())));
    let step = step.prop_map(|(message, mood, death, meanwhile)| Step { message, mood, death, meanwhile });
    prop::collection::vec(step, 1..40)
}
