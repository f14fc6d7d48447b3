//! What the shop's services do: handlers of the participant kit, which calls them inside a transaction on their books and
//! keeps duplicates, late originals and second undos away from them (S4.3).

use prost::Message as _;

use super::{
    books::{Books, BooksTx, Row, add, move_over},
    order::{Moved, Order},
    shop::{self, Move, Step, Work},
    speech,
    weather::{Fate, Weather},
};
use crate::{
    participant::{self, Call, Failure, Handling, Reply, Undone},
    wire::proto::{Envelope, Fault, Kind, StatusCode},
};

/// The handlers of a service at a version.
#[derive(Debug)]
pub struct Trade {
    /// The service.
    pub name: &'static str,
    /// The version: what goes wrong depends on it.
    pub version: String,
    /// What goes wrong.
    pub weather: Weather,
}

impl participant::Service<Books> for Trade {
    fn handle(&self, books: &mut BooksTx<'_>, call: &Call<'_>) -> Result<Reply, Failure> {
        let order = order_of(call)?;
        // Only the mailer hears of events.
        if call.envelope().kind() == Kind::Event {
            add(books, Row::Order(call.envelope().chain_id.clone()), 1);
            return Ok(Reply::ok());
        }
        match self.weather.fate(order.number, self.name, call.operation(), &self.version) {
            Fate::Declined(reason) => Err(Failure::business(reason)),
            Fate::Breaks(reason) => Err(Failure::last(reason)),
            Fate::Well | Fate::Lost | Fate::Unanswered | Fate::Late => self.go_on(books, call, &order, 0),
        }
    }

    /// `news` answers one of the calls made for this one; or it is that call itself, waited for long enough.
    fn resume(&self, books: &mut BooksTx<'_>, call: &Call<'_>, news: &Envelope) -> Result<Reply, Failure> {
        let steps = self.work(call)?.steps();
        let is_it = |step: &Step| speech::request(call.handling(), step).call_id() == news.call_id;
        let answered = steps.iter().position(is_it).ok_or_else(|| Failure::last("NOT_ASKED"))?;
        let status = news.status.clone().unwrap_or_default();
        match (news.kind(), status.code()) {
            (Kind::Response, StatusCode::Ok) => self.go_on(books, call, &order_of(call)?, answered + 1),
            (Kind::Response, _) => Ok(Reply::failed(status.reason).caused_by(&news.call_id)),
            _ => Ok(Reply::failed("TIMEOUT").caused_by(&news.call_id)),
        }
    }

    fn undo(&self, books: &mut BooksTx<'_>, order: &participant::Order<'_>) -> Result<Undone, Failure> {
        let row = Row::Order(order.command().chain_id.clone());
        // Of a call that still waits for others nothing is in the books.
        if books.get(&row).copied().unwrap_or(0) == 0 {
            return Ok(Undone::not_needed("NOT_IN_THE_BOOKS"));
        }
        let Moved { from, to, amount } = Moved::decode(order.response()).map_err(|_| Failure::last("NOT_OURS"))?;
        if !move_over(books, &Moved { from: to, to: from, amount }) {
            return Err(Failure::last("NOTHING_LEFT"));
        }
        add(books, row, -1);
        add(books, Row::TakenBack, 1);
        Ok(Undone::done())
    }
}

impl Trade {
    fn work(&self, call: &Call<'_>) -> Result<Work, Failure> {
        let operation = shop::operation(self.name, call.operation());
        operation.map(|operation| operation.work).ok_or_else(|| Failure::last("UNKNOWN_OPERATION"))
    }

    /// Makes the call that comes next, or ends.
    fn go_on(&self, books: &mut BooksTx<'_>, call: &Call<'_>, order: &Order, next: usize) -> Result<Reply, Failure> {
        let work = self.work(call)?;
        if let Some(step) = work.steps().get(next) {
            return Ok(Reply::later().also(ask(call, step, order)?));
        }
        match work {
            Work::Reads => Ok(Reply::ok()),
            Work::Calls(_) => {
                let placed = call.handling().event("placed", shop::PLACED);
                let placed = placed.payload(Order::TYPE, order.encode_to_vec()).sent(call.now()).map_err(refused)?;
                Ok(Reply::ok().also(placed))
            }
            Work::Moves(what) | Work::CallsAndMoves(_, what) => Ok(apply(books, call, &what, order)),
        }
    }
}

/// Moves what an order asks for.
fn apply(books: &mut BooksTx<'_>, call: &Call<'_>, what: &Move, order: &Order) -> Reply {
    let moved = what.of(order);
    if !move_over(books, &moved) {
        return Reply::failed(what.lacking).fault(Fault::Business);
    }
    add(books, Row::Order(call.envelope().chain_id.clone()), 1);
    // An undo goes by what was made, which the answer says.
    Reply::ok().payload(Moved::TYPE, moved.encode_to_vec())
}

/// A call made inside.
fn ask(call: &Call<'_>, step: &Step, order: &Order) -> Result<Envelope, Failure> {
    let handling: &Handling = call.handling();
    let request = speech::request(handling, step).payload(Order::TYPE, order.encode_to_vec());
    let what = shop::operation(step.service, step.operation).and_then(|operation| operation.work.moves());
    let request = match what {
        Some(what) => request.effect(speech::effect(&what).key(step.operation)),
        None => request,
    };
    request.sent(call.now()).map_err(refused)
}

fn refused(error: crate::wire::WireError) -> Failure {
    Failure::last("UNSENDABLE").message(error)
}

fn order_of(call: &Call<'_>) -> Result<Order, Failure> {
    let order = call.envelope().payload.as_ref().and_then(Order::from_any);
    order.ok_or_else(|| Failure::last("NO_ORDER"))
}
