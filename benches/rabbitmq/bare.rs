//! The least that could be done instead: a consumer that only decodes and acknowledges, and a loop that consumes, publishes and
//! acknowledges.

use std::time::{Duration, Instant};

use countermand::wire::{WireLimits, decode_envelope, message, proto::Envelope};
use lapin::{message::Delivery, options::BasicAckOptions};
use tokio_stream::StreamExt as _;

use crate::{
    link::{Link, publish},
    process::{cpu, now},
    standard::fails,
};

pub fn run(what: &str, args: &[String]) {
    match (what, args) {
        ("--bare-consume", [url, queue, messages, prefetch]) => {
            consume(url, queue, messages.parse().expect("a number"), prefetch.parse().expect("a number"));
        }
        ("--bare-loop", [url, queue, exchange, prefetch]) => {
            pass_on(url, queue, exchange, prefetch.parse().expect("a number"));
        }
        _ => panic!("unknown {what} {args:?}"),
    }
}

fn decoded(delivery: &Delivery) -> Envelope {
    let limits = WireLimits::default();
    let envelope = decode_envelope(delivery.data.as_slice(), &limits).expect("an envelope");
    std::hint::black_box(message(&envelope, &limits).expect("a message"));
    envelope
}

async fn acknowledge(delivery: &Delivery) {
    delivery.acker.ack(BasicAckOptions { multiple: true }).await.expect("an acknowledgement");
}

/// Decodes so many messages and acknowledges them, half a prefetch at a time, so that the broker never waits; prints the CPU seconds
/// and the seconds that it took.
fn consume(url: &str, queue: &str, messages: u64, prefetch: u16) {
    let link = Link::new(url);
    let mut consumer = link.consume(queue, prefetch);
    link.runtime.block_on(async {
        let (mut read, mut begun) = (0, None);
        while read < messages {
            let delivery = consumer.next().await.expect("a delivery").expect("a delivery");
            begun.get_or_insert_with(Instant::now);
            decoded(&delivery);
            read += 1;
            if read.is_multiple_of(u64::from(prefetch / 2)) || read == messages {
                acknowledge(&delivery).await;
            }
        }
        println!("{} {}", cpu(std::process::id()), begun.expect("a message").elapsed().as_secs_f64());
    });
}

/// For each message with which a chain fails one publication with the chain's id, and once those are confirmed the
/// acknowledgement of what was read; for ever.
fn pass_on(url: &str, queue: &str, exchange: &str, prefetch: u16) {
    let link = Link::new(url);
    let mut consumer = link.consume(queue, prefetch);
    println!("ready");
    link.runtime.block_on(async {
        loop {
            let mut last = consumer.next().await.expect("a delivery").expect("a delivery");
            let mut confirms = Vec::new();
            loop {
                let envelope = decoded(&last);
                if fails(&envelope) {
                    let way = (exchange, "commands.bare");
                    confirms.push(publish(&link.channel, way, b"undo", (now(), &envelope.chain_id)).await);
                }
                match tokio::time::timeout(Duration::ZERO, consumer.next()).await {
                    Ok(next) => last = next.expect("a delivery").expect("a delivery"),
                    Err(_) => break,
                }
            }
            for confirm in confirms {
                confirm.await.expect("a confirm");
            }
            acknowledge(&last).await;
        }
    });
}
