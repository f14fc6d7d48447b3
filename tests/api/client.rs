//! Asking over a real socket.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A connection on which nothing was asked yet.
pub fn connect(at: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(at).expect("somebody listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    socket
}

/// What comes back on a connection that is closed then.
pub fn answer(socket: TcpStream) -> Answer {
    let mut reader = BufReader::new(socket);
    let (status, headers) = head(&mut reader);
    let mut body = String::new();
    reader.read_to_string(&mut body).expect("a body");
    Answer { status, headers, body }
}

fn head(reader: &mut impl BufRead) -> (u16, BTreeMap<String, String>) {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    (status, headers)
}

/// Asks, with these headers (`Name: value` each) and this body.
pub fn ask(at: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut socket = connect(at);
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}{length}\r\n");
    socket.write_all(format!("{head}{body}").as_bytes()).expect("a request");
    answer(socket)
}

pub fn get(at: SocketAddr, path: &str) -> Answer {
    ask(at, "GET", path, &[], "")
}

/// The body says that it is JSON.
pub const JSON: &str = "Content-Type: application/json";

pub fn post(at: SocketAddr, path: &str, headers: &[&str], body: &Value) -> Answer {
    ask(at, "POST", path, &[&[JSON], headers].concat(), &body.to_string())
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub id: String,
    pub event: String,
    pub data: String,
}

/// A listener to events.
pub struct Ear(BufReader<TcpStream>);

impl Ear {
    /// Listens, after the event of an id if it is not empty.
    pub fn listen(at: SocketAddr, after: &str) -> Self {
        let mut socket = connect(at);
        let more = if after.is_empty() { String::new() } else { format!("Last-Event-ID: {after}\r\n") };
        write!(socket, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").expect("a request");
        let mut reader = BufReader::new(socket);
        let (status, headers) = head(&mut reader);
        assert_eq!((status, headers["content-type"].as_str()), (200, "text/event-stream"));
        Self(reader)
    }

    /// The next event.
    pub fn next(&mut self) -> Told {
        let mut told = Told { id: String::new(), event: String::new(), data: String::new() };
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("an event in time") > 0, "the stream ended");
            // Sizes of chunks and signs of life stand between the lines.
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut told.id),
                Some(("event", event)) => event.clone_into(&mut told.event),
                Some(("data", data)) => data.clone_into(&mut told.data),
                _ if line.trim_end().is_empty() && !told.data.is_empty() => return told,
                _ => {}
            }
        }
    }
}
