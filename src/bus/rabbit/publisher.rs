//! Publishes what is in the outbox: in a window of confirms, over a connection of its own, since a broker that is short of
//! memory or disk stops reading those that publish.

use std::{
    collections::VecDeque,
    future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Instant,
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
    let mut under_way = UnderWay::new();
    let work = async {
        topology::make_exchange(&connection, &setup.exchange, &setup.dead_letters).await?;
        let channel = channel(&connection).await?;
        answer("confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        serving();
        let mut changes = blocked.subscribe();
        let mut returns = Returns::default();
        loop {
            while !*changes.borrow_and_update() && under_way.len() < WINDOW {
                let Some(ticket) = outbox.next(Instant::now()) else { break };
                match send(&channel, &ticket, &blocked).await {
                    Ok(confirm) => under_way.push_back((ticket, confirm)),
                    Err(trouble) => {
                        outbox.settle(ticket, Outcome::Lost, Instant::now());
                        return Err(trouble);
                    }
                }
            }
            tokio::select! {
                ended = ended(&mut under_way) => {
                    for (ticket, outcome) in returns.judge(ended?) {
                        setup.status.told(&ticket.letter, outcome);
                        outbox.settle(ticket, outcome, Instant::now());
                    }
                    setup.status.unroutable.store(outbox.unroutable() as u64, Ordering::Relaxed);
                }
                _ = changes.changed() => {}
                () = outbox.more() => {}
                () = due(outbox.next_due()), if under_way.len() < WINDOW => {}
            }
        }
    };
    let ended: Option<Result<(), Trouble>> = tokio::select! {
        result = work => Some(result),
        trouble = listen(&connection, setup, &blocked) => Some(Err(trouble)),
        () = &mut over => None,
    };
    setup.status.blocked(None);
    for (ticket, _) in under_way {
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

/// Hands a letter to the connection. A broker that takes nothing is waited for as long as it lives (heartbeats tell), and not
/// as long as one that does not answer.
async fn send(channel: &Channel, ticket: &Ticket, blocked: &watch::Sender<bool>) -> Result<PublisherConfirm, Trouble> {
    let letter = &ticket.letter;
    let options = BasicPublishOptions { mandatory: letter.way.mandatory, immediate: false };
    let (exchange, key) = (letter.way.exchange.as_str().into(), letter.way.routing_key.as_str().into());
    let sent = channel.basic_publish(exchange, key, options, &letter.body, letter.properties.clone());
    tokio::pin!(sent);
    loop {
        match answer("publishing", &mut sent).await {
            Err(refused) if refused.is_silence() && *blocked.borrow() => {}
            sent => return Ok(sent?),
        }
    }
}

/// Publications whose confirms are not there yet, the oldest first.
type UnderWay = VecDeque<(Ticket, PublisherConfirm)>;

/// Waits for the oldest publication under way to end, and takes with one that must arrive all others that ended by then: one of
/// them may have what was given back of it.
async fn ended(under_way: &mut UnderWay) -> Result<Vec<(Ticket, Confirmation)>, Trouble> {
    let Some((_, confirm)) = under_way.front_mut() else { return future::pending().await };
    let lost = |error: lapin::Error| Trouble::Failed(format!("publishing: {error}"));
    let first = confirm.await.map_err(lost)?;
    // From here on nothing waits, so that nothing that ended is forgotten.
    let Some((ticket, _)) = under_way.pop_front() else { return Ok(Vec::new()) };
    let must_arrive = ticket.letter.way.mandatory;
    let mut ended = vec![(ticket, first)];
    if must_arrive {
        let mut at_once = Context::from_waker(Waker::noop());
        let mut left = UnderWay::with_capacity(under_way.len());
        while let Some((ticket, mut confirm)) = under_way.pop_front() {
            match Pin::new(&mut confirm).poll(&mut at_once) {
                Poll::Ready(Ok(confirmation)) => ended.push((ticket, confirmation)),
                // One that failed is gone with the connection, which the next to be waited for will say.
                Poll::Ready(Err(_)) | Poll::Pending => left.push_back((ticket, confirm)),
            }
        }
        *under_way = left;
    }
    Ok(ended)
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
