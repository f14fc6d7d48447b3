//! Publishes what is in the outbox: in a window of confirms, over a connection of its own, since a broker that is short of
//! memory or disk stops reading those that publish.

use std::{
    collections::VecDeque,
    future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use lapin::{
    Channel, Confirmation, Connection, Event, PublisherConfirm,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

use super::{
    Setup,
    message::Letter,
    outbox::{Outbox, Outcome, Ticket},
    topology::{self, Trouble, answer, channel},
};

/// Publications under way at once: one at a time is a hundredth as fast, more gains little.
const WINDOW: usize = 1_000;

/// Longest wait for a confirm of a broker that takes what is published: what is decided must not wait for ever for one that
/// never comes. It is published again over another connection then.
const CONFIRM_WITHIN: Duration = Duration::from_secs(30);

/// Publishes over one connection until something goes wrong, or `over`: then nothing did. `serving` is called once it can.
pub(super) async fn publish(
    setup: &Setup,
    outbox: &Arc<Outbox>,
    serving: impl FnOnce(),
    over: impl Future<Output = ()>,
) -> Option<Trouble> {
    tokio::pin!(over);
    let address = setup.address.named("publishes");
    let connection = tokio::select! {
        connected = address.connect() => match connected {
            Ok(connection) => connection,
            Err(why) => return Some(Trouble::Failed(why)),
        },
        () = &mut over => return None,
    };
    let blocked = watch::Sender::new(false);
    let mut under_way = UnderWay::default();
    let work = async {
        topology::make_exchange(&connection, &setup.exchange, &setup.dead_letters).await?;
        let channel = channel(&connection).await?;
        answer("confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        serving();
        let mut changes = blocked.subscribe();
        let mut returns = Returns::default();
        let mut calm_since = Instant::now();
        loop {
            while !*changes.borrow_and_update() && under_way.waiting.len() < WINDOW {
                let Some(ticket) = outbox.next(Instant::now()) else { break };
                // Kept where it is not forgotten should the connection go in the middle of this, which ends this work at once.
                let confirm = send(&channel, under_way.sending.insert(ticket), &blocked).await?;
                let sent = under_way.sending.take().map(|ticket| (ticket, confirm, Instant::now()));
                under_way.waiting.extend(sent);
            }
            let limit = under_way.limit(calm_since).filter(|_| !*blocked.borrow());
            tokio::select! {
                ended = under_way.end() => ended?,
                () = due(limit) => under_way.take_what_ended(),
                _ = changes.changed() => calm_since = Instant::now(),
                () = outbox.more() => {}
                () = due(outbox.next_due()), if under_way.waiting.len() < WINDOW => {}
            }
            if under_way.may_lack_returns() {
                settled(&channel, &blocked).await?;
                under_way.take_what_ended();
            }
            let has_news = !under_way.ended.is_empty();
            for (ticket, outcome) in returns.judge(std::mem::take(&mut under_way.ended)) {
                setup.status.told(&ticket.letter, outcome);
                outbox.settle(ticket, outcome, Instant::now());
            }
            if has_news {
                setup.status.unroutable.store(outbox.unroutable() as u64, Ordering::Relaxed);
            }
            let is_over = |limit: Instant| limit <= Instant::now() && !*blocked.borrow();
            if under_way.limit(calm_since).is_some_and(is_over) {
                let text = format!("publishing: no confirm within {} s", CONFIRM_WITHIN.as_secs());
                return Err(Trouble::Failed(text));
            }
        }
    };
    let ended: Option<Result<(), Trouble>> = tokio::select! {
        result = work => Some(result),
        trouble = listen(&connection, setup, &blocked) => Some(Err(trouble)),
        () = &mut over => None,
    };
    setup.status.blocked(None);
    for ticket in under_way.into_tickets() {
        outbox.settle(ticket, Outcome::Lost, Instant::now());
    }
    super::close(&connection).await;
    ended?.err()
}

/// Follows what happens to the connection until it is of no more use, also while something is being sent: a broker says that it
/// takes nothing in the middle of it.
async fn listen(connection: &Connection, setup: &Setup, blocked: &watch::Sender<bool>) -> Trouble {
    let mut events = Box::pin(connection.events_listener());
    loop {
        match events.next().await {
            Some(Event::ConnectionBlocked(why)) => {
                blocked.send_replace(true);
                setup.status.blocked(Some(&why));
            }
            Some(Event::ConnectionUnblocked) => {
                blocked.send_replace(false);
                setup.status.blocked(None);
            }
            Some(Event::Error(error)) => return Trouble::Failed(format!("publishing: {error}")),
            Some(_) => {}
            None => return Trouble::Failed("publishing: the connection is gone".to_owned()),
        }
    }
}

/// Waits for an answer of the broker. One that takes nothing is waited for as long as it lives (heartbeats tell), and not as
/// long as one that does not answer.
async fn patiently<T>(
    what: &str,
    blocked: &watch::Sender<bool>,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Trouble> {
    tokio::pin!(call);
    loop {
        match answer(what, &mut call).await {
            Err(refused) if refused.is_silence() && *blocked.borrow() => {}
            answered => return Ok(answered?),
        }
    }
}

/// Hands a letter to the connection.
async fn send(channel: &Channel, ticket: &Ticket, blocked: &watch::Sender<bool>) -> Result<PublisherConfirm, Trouble> {
    let letter = &ticket.letter;
    let options = BasicPublishOptions { mandatory: letter.way.mandatory, immediate: false };
    let (exchange, key) = (letter.way.exchange.as_str().into(), letter.way.routing_key.as_str().into());
    let sent = channel.basic_publish(exchange, key, options, &letter.body, letter.properties.clone());
    patiently("publishing", blocked, sent).await
}

/// Waits until the client has told of all that the broker had said up to now: it tells one thing after the other, so what was
/// asked last is answered last. (To ask again for confirms changes nothing.)
async fn settled(channel: &Channel, blocked: &watch::Sender<bool>) -> Result<(), Trouble> {
    patiently("confirms", blocked, channel.confirm_select(ConfirmSelectOptions::default())).await
}

/// Publications that are not judged yet.
#[derive(Default)]
struct UnderWay {
    /// The one that is being handed to the connection.
    sending: Option<Ticket>,
    /// Those whose confirms are not there yet, and when they were sent; the oldest first.
    waiting: VecDeque<(Ticket, PublisherConfirm, Instant)>,
    ended: Vec<(Ticket, Confirmation)>,
}

impl UnderWay {
    /// Waits for the oldest publication to end, and takes with one that must arrive all others that ended by then: one of
    /// them may have what was given back of it.
    async fn end(&mut self) -> Result<(), Trouble> {
        let Some((_, confirm, _)) = self.waiting.front_mut() else { return future::pending().await };
        let lost = |error: lapin::Error| Trouble::Failed(format!("publishing: {error}"));
        let first = confirm.await.map_err(lost)?;
        // From here on nothing waits, so that nothing that ended is forgotten.
        let Some((ticket, ..)) = self.waiting.pop_front() else { return Ok(()) };
        let must_arrive = ticket.letter.way.mandatory;
        self.ended.push((ticket, first));
        if must_arrive {
            self.take_what_ended();
        }
        Ok(())
    }

    /// Until when the oldest is waited for that is not confirmed, by a broker that has taken what comes since then.
    fn limit(&self, calm_since: Instant) -> Option<Instant> {
        self.waiting.front().map(|(_, _, sent)| calm_since.max(*sent) + CONFIRM_WITHIN)
    }

    /// Takes all that ended by now.
    fn take_what_ended(&mut self) {
        let mut at_once = Context::from_waker(Waker::noop());
        for (ticket, mut confirm, sent) in std::mem::take(&mut self.waiting) {
            match Pin::new(&mut confirm).poll(&mut at_once) {
                Poll::Ready(Ok(confirmation)) => self.ended.push((ticket, confirmation)),
                // One that failed is gone with the connection, which the next to be waited for will say.
                Poll::Ready(Err(_)) | Poll::Pending => self.waiting.push_back((ticket, confirm, sent)),
            }
        }
    }

    /// Whether the client may be in the middle of telling what was given back. Each publication that ends takes what was given
    /// back first and is not told: one that took nothing ended when all was told, and one that took another's left its own to
    /// those that end after it.
    fn may_lack_returns(&self) -> bool {
        let has_return = |confirmation: &Confirmation| {
            matches!(confirmation, Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)))
        };
        self.ended.iter().any(|(_, confirmation)| has_return(confirmation))
    }

    fn into_tickets(self) -> impl Iterator<Item = Ticket> {
        let waiting = self.waiting.into_iter().map(|(ticket, ..)| ticket);
        waiting.chain(self.sending).chain(self.ended.into_iter().map(|(ticket, _)| ticket))
    }
}

/// What the broker gave back and is not told of yet. It comes before the confirm of what it is, and the client hands it to
/// whichever publication is confirmed next: that is often another one, since a queue confirms later what it takes.
#[derive(Default)]
struct Returns(Vec<BasicReturnMessage>);

impl Returns {
    /// What became of publications that ended. Whoever has what was given back of one of them is among them, or was before.
    fn judge(&mut self, ended: Vec<(Ticket, Confirmation)>) -> Vec<(Ticket, Outcome)> {
        let mut judged = Vec::with_capacity(ended.len());
        for (ticket, confirmation) in ended {
            let outcome = match &confirmation {
                Confirmation::Ack(_) => Outcome::Confirmed,
                Confirmation::Nack(_) => Outcome::Refused,
                // Nobody vouches for it.
                Confirmation::NotRequested => Outcome::Lost,
            };
            self.0.extend(confirmation.take_message());
            judged.push((ticket, outcome));
        }
        for (ticket, outcome) in &mut judged {
            // Acknowledged, but no queue took it.
            if self.take(&ticket.letter) && *outcome == Outcome::Confirmed {
                *outcome = Outcome::Returned;
            }
        }
        judged
    }

    /// Whether a letter was given back. Two that are the same in all that is looked at went the same way.
    fn take(&mut self, letter: &Letter) -> bool {
        let is_it = |returned: &BasicReturnMessage| {
            letter.way.mandatory
                && returned.routing_key.as_str() == letter.way.routing_key
                && returned.exchange.as_str() == letter.way.exchange
                && returned.properties.message_id() == letter.properties.message_id()
                && returned.data == letter.body
        };
        let found = self.0.iter().position(is_it);
        found.map(|at| self.0.swap_remove(at)).is_some()
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => future::pending().await,
    }
}
