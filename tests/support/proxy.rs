//! A proxy that stands between an agent and its broker, and does to their connections what networks do.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What passes through it does so as this says; it can be changed at any time, for connections that are open, too.
#[derive(Debug, Default)]
struct Weather {
    /// Milliseconds by which each piece is late.
    delay: AtomicU64,
    /// Raised: every connection that is open ends at once.
    cuts: AtomicU64,
    /// Nothing that the broker says arrives, although the connection stays open.
    deaf: AtomicBool,
    /// Nothing new is let in.
    closed: AtomicBool,
    /// Connections that were let in.
    connections: AtomicU64,
}

/// A running proxy. It listens for as long as the process lives.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    weather: Arc<Weather>,
}

impl Proxy {
    /// Begins to pass on to `broker`.
    pub fn start(broker: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let weather = Arc::new(Weather::default());
        let own = weather.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                if own.closed.load(Ordering::Acquire) {
                    continue;
                }
                if let Ok(server) = TcpStream::connect(&broker) {
                    own.connections.fetch_add(1, Ordering::AcqRel);
                    pass_on(&own, &client, &server, false);
                    pass_on(&own, &server, &client, true);
                }
            }
        });
        Self { port, weather }
    }

    /// Makes each piece late by so much.
    pub fn delay(&self, span: Duration) {
        self.weather.delay.store(u64::try_from(span.as_millis()).expect("a delay"), Ordering::Release);
    }

    /// Ends every connection that is open.
    pub fn cut(&self) {
        self.weather.cuts.fetch_add(1, Ordering::AcqRel);
    }

    /// Lets nothing that the broker says arrive, or lets it arrive again. What it said meanwhile is lost.
    pub fn deafen(&self, deaf: bool) {
        self.weather.deaf.store(deaf, Ordering::Release);
    }

    /// Lets nobody in, or lets people in again.
    pub fn close(&self, closed: bool) {
        self.weather.closed.store(closed, Ordering::Release);
    }

    /// Connections that were let in so far.
    pub fn connections(&self) -> u64 {
        self.weather.connections.load(Ordering::Acquire)
    }
}

/// How soon a change of weather is seen.
const LOOK: Duration = Duration::from_millis(20);

fn pass_on(weather: &Arc<Weather>, from: &TcpStream, to: &TcpStream, from_broker: bool) {
    let weather = weather.clone();
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    from.set_read_timeout(Some(LOOK)).expect("a timeout");
    let begun = weather.cuts.load(Ordering::Acquire);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while weather.cuts.load(Ordering::Acquire) == begun {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) if from_broker && weather.deaf.load(Ordering::Acquire) => {}
                Ok(read) => {
                    let late = weather.delay.load(Ordering::Acquire);
                    if late > 0 {
                        thread::park_timeout(Duration::from_millis(late));
                    }
                    if to.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => break,
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}
