//! A service whose mood is given, over a store that dies where it is told to.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use bytes::Bytes;
use countermand::{
    participant::{
        Call, EffectKey, Failure, MemoryError, MemoryStore, MemoryTx, Order, Record, Reply, Service, Store,
        Transaction, Undone,
    },
    wire::proto::Envelope,
};

use crate::history::{Death, Mood};

/// Rows: `stands/EFFECT` (0 or 1), `undone/EFFECT` (how often).
pub type Books = MemoryStore<String, i64>;

/// What befalls one delivery.
#[derive(Default)]
pub struct Fate {
    pub mood: Cell<Option<Mood>>,
    pub death: Cell<Option<Death>>,
    /// What happens before the second transaction of the delivery begins.
    pub meanwhile: RefCell<Option<Box<dyn FnOnce()>>>,
    begun: Cell<u32>,
    /// Whether its last transaction was committed.
    pub committed: Cell<bool>,
}

impl Fate {
    pub fn prepare(&self, mood: Mood, death: Death, meanwhile: Option<Box<dyn FnOnce()>>) {
        self.mood.set(Some(mood));
        self.death.set(Some(death));
        *self.meanwhile.borrow_mut() = meanwhile;
        self.begun.set(0);
        self.committed.set(false);
    }

    fn dies(&self, death: Death) -> Result<(), Died> {
        if self.death.get() == Some(death) { Err(Died) } else { Ok(()) }
    }

    fn mood(&self) -> Mood {
        self.mood.get().expect("a mood")
    }
}

#[derive(Debug)]
pub struct Died;

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("died")
    }
}

impl std::error::Error for Died {}

impl From<MemoryError> for Died {
    fn from(error: MemoryError) -> Self {
        panic!("{error}")
    }
}

/// The store.
pub struct Mortal {
    pub books: Books,
    pub fate: Rc<Fate>,
}

pub struct MortalTx<'s> {
    tx: MemoryTx<'s, String, i64>,
    fate: Rc<Fate>,
}

impl Store for Mortal {
    type Error = Died;
    type Tx<'s> = MortalTx<'s>;

    fn begin(&mut self) -> Result<MortalTx<'_>, Died> {
        self.fate.begun.set(self.fate.begun.get() + 1);
        if self.fate.begun.get() == 2
            && let Some(meanwhile) = self.fate.meanwhile.take()
        {
            meanwhile();
        }
        Ok(MortalTx { tx: self.books.begin()?, fate: self.fate.clone() })
    }
}

impl Transaction for MortalTx<'_> {
    type Error = Died;

    fn claim(&mut self, key: &EffectKey, fresh: &Record) -> Result<Option<Record>, Died> {
        self.fate.dies(Death::OnClaim)?;
        Ok(self.tx.claim(key, fresh)?)
    }

    fn update(&mut self, key: &EffectKey, record: &Record) -> Result<(), Died> {
        self.fate.dies(Death::OnUpdate)?;
        Ok(self.tx.update(key, record)?)
    }

    fn answer(&mut self, command_id: &str) -> Result<Option<Bytes>, Died> {
        Ok(self.tx.answer(command_id)?)
    }

    fn remember(&mut self, command_id: &str, answer: &[u8], at: i64) -> Result<(), Died> {
        self.fate.dies(Death::OnRemember)?;
        let known = self.tx.answer(command_id)?;
        assert!(known.is_none(), "{command_id} is remembered twice");
        Ok(self.tx.remember(command_id, answer, at)?)
    }

    fn forgotten_before(&mut self) -> Result<Option<i64>, Died> {
        Ok(self.tx.forgotten_before()?)
    }

    fn commit(self) -> Result<(), Died> {
        self.fate.dies(Death::BeforeCommit)?;
        self.tx.commit()?;
        self.fate.committed.set(true);
        self.fate.dies(Death::AfterCommit)
    }
}

thread_local! {
    static RUNS: Cell<u64> = const { Cell::new(0) };
}

/// A reason that no other run of a handler gives: what is said under one id twice shows.
fn reason(word: &str) -> String {
    RUNS.set(RUNS.get() + 1);
    format!("{word}-{}", RUNS.get())
}

/// The handlers.
pub struct Moody(pub Rc<Fate>);

fn effect_of(call_id: &str, key: &str) -> String {
    if key.is_empty() { call_id.trim_end_matches("/payment").to_owned() } else { "shared".to_owned() }
}

impl Moody {
    fn run(&self, tx: &mut MortalTx<'_>, effect: &str) -> Result<Reply, Failure> {
        let row = format!("stands/{effect}");
        let mut put = |there: bool| tx.tx.put(row.clone(), i64::from(there));
        Ok(match self.0.mood() {
            Mood::Works => {
                put(true);
                Reply::ok().payload("shop/Receipt", reason("made"))
            }
            Mood::Fails => {
                put(true);
                return Err(Failure::last(reason("BROKEN")));
            }
            Mood::TakesBack => {
                put(true);
                put(false);
                Reply::failed(reason("TAKEN_BACK"))
            }
            Mood::LosesTrack { there } => {
                put(there);
                Reply::unknown(reason("NO_WORD"))
            }
            Mood::Passes => {
                put(true);
                return Err(Failure::passing("AWAY"));
            }
            Mood::Waits => Reply::later(),
            Mood::SaysThatItWaits => Reply::ongoing(1),
        })
    }
}

impl Service<Mortal> for Moody {
    fn handle(&self, tx: &mut MortalTx<'_>, call: &Call<'_>) -> Result<Reply, Failure> {
        let asked = call.envelope();
        let key = asked.effect.as_ref().map_or("", |effect| &effect.idempotency_key);
        let reply = self.run(tx, &effect_of(&asked.call_id, key))?;
        let inner = call.handling().request("inner", "fraud", "Screen").sent(call.now());
        Ok(if matches!(self.0.mood(), Mood::Waits) { reply.also(inner.expect("a request")) } else { reply })
    }

    fn resume(&self, tx: &mut MortalTx<'_>, call: &Call<'_>, _: &Envelope) -> Result<Reply, Failure> {
        let key = call.envelope().effect.as_ref().map_or("", |effect| &effect.idempotency_key);
        self.run(tx, &effect_of(&call.envelope().call_id, key))
    }

    fn undo(&self, tx: &mut MortalTx<'_>, order: &Order<'_>) -> Result<Undone, Failure> {
        let effect = effect_of(order.call_id(), &order.command().idempotency_key);
        let (stands, undone) = (format!("stands/{effect}"), format!("undone/{effect}"));
        let there = tx.tx.get(&stands).copied().unwrap_or(0);
        match self.0.mood() {
            Mood::Fails => Err(Failure::last("BROKEN")),
            Mood::Passes => Err(Failure::passing("AWAY")),
            Mood::Waits | Mood::SaysThatItWaits => Ok(Undone::ongoing()),
            _ if there == 0 => Ok(Undone::not_needed("NOTHING_THERE")),
            _ => {
                let times = tx.tx.get(&undone).copied().unwrap_or(0);
                tx.tx.put(stands, there - 1);
                tx.tx.put(undone, times + 1);
                Ok(Undone::done())
            }
        }
    }

    fn inquire(&self, tx: &mut MortalTx<'_>, order: &Order<'_>) -> Result<Option<bool>, Failure> {
        let effect = effect_of(order.call_id(), &order.command().idempotency_key);
        match self.0.mood() {
            Mood::Fails => Err(Failure::last("BROKEN")),
            Mood::Passes => Err(Failure::passing("AWAY")),
            Mood::Waits | Mood::SaysThatItWaits => Ok(None),
            _ => Ok(Some(tx.tx.get(&format!("stands/{effect}")).is_some_and(|there| *there == 1))),
        }
    }

    fn retry(&self, tx: &mut MortalTx<'_>, order: &Order<'_>) -> Result<Reply, Failure> {
        self.run(tx, &effect_of(order.call_id(), &order.command().idempotency_key))
    }
}
