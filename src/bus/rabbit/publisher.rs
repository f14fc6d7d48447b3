//! Publishes what is in the outbox: in a window of confirms, over a connection of its own, since a broker that is short of
//! memory or disk stops reading those that publish.

use std::{
    collections::VecDeque,
    future,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use lapin::{
    Channel, Confirmation, Connection, Event, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

use super::{
    Setup,
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
    let mut under_way = VecDeque::new();
    let work = async {
        topology::make_exchange(&connection, &setup.exchange, &setup.dead_letters).await?;
        let channel = channel(&connection).await?;
        answer("confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        serving();
        let mut changes = blocked.subscribe();
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
                confirmed = confirmed(&mut under_way) => {
                    let (ticket, outcome) = confirmed?;
                    setup.status.told(&ticket.letter, outcome);
                    outbox.settle(ticket, outcome, Instant::now());
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

/// Waits for the oldest publication under way.
async fn confirmed(under_way: &mut VecDeque<(Ticket, PublisherConfirm)>) -> Result<(Ticket, Outcome), Trouble> {
    let Some((_, confirm)) = under_way.front_mut() else { return future::pending().await };
    let outcome = match confirm.await {
        Ok(Confirmation::Ack(None)) => Outcome::Confirmed,
        // Acknowledged, but no queue took it.
        Ok(Confirmation::Ack(Some(_))) => Outcome::Returned,
        Ok(Confirmation::Nack(_)) => Outcome::Refused,
        // Nobody vouches for it.
        Ok(Confirmation::NotRequested) => Outcome::Lost,
        Err(error) => return Err(Trouble::Failed(format!("publishing: {error}"))),
    };
    match under_way.pop_front() {
        Some((ticket, _)) => Ok((ticket, outcome)),
        None => future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => future::pending().await,
    }
}
