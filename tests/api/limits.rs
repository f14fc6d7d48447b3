//! How much is answered: beyond that callers are told, and those who do not come to an end are let go.

use std::{io::Write, time::Instant};

use crate::{
    client::{Answer, answer, connect, get},
    shop::Shop,
};

fn is_problem(answer: &Answer, status: u16, says: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{problem}");
    assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{problem}");
}

#[test]
fn too_many_connections_are_told_so() {
    let shop = Shop::open("connections", None);
    let held: Vec<_> = (0..256).map(|_| connect(shop.at)).collect();
    let refused = get(shop.at, "/healthz");
    is_problem(&refused, 503, "256 connections");
    assert_eq!(refused.header("retry-after"), "1");
    drop(held);
    let begun = Instant::now();
    while get(shop.at, "/healthz").status != 200 {
        assert!(begun.elapsed().as_secs() < 10, "there is room again");
    }
}

#[test]
fn too_many_requests_a_second_are_told_so() {
    let shop = Shop::open("rate", None);
    // One connection, many requests: a loop of a program, not a person.
    let mut socket = connect(shop.at);
    let request = "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3_000);
    let mut reading = socket.try_clone().expect("a socket");
    let writing = std::thread::spawn(move || {
        // It may end before all is written.
        let _ = socket.write_all(request.as_bytes());
    });
    let refused = {
        use std::io::Read;
        let (mut text, mut bytes) = (String::new(), [0; 65_536]);
        while !text.contains("HTTP/1.1 429") {
            let n = reading.read(&mut bytes).expect("answers");
            assert!(n > 0, "the connection ended");
            text.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        text
    };
    assert!(refused.contains("HTTP/1.1 404"), "those before were answered");
    let _ = reading.shutdown(std::net::Shutdown::Both);
    writing.join().expect("a thread");
    // Whether it lives can always be asked.
    assert_eq!(get(shop.at, "/healthz").status, 200);
}

/// Fifteen seconds: the longest patience of all.
#[test]
fn those_who_do_not_come_to_an_end_are_let_go() {
    let shop = Shop::open("slow", None);
    let begun = Instant::now();
    let mut head = connect(shop.at);
    head.write_all(b"GET /v1/chains HTTP/1.1\r\nHost: x\r\nX-More: ").expect("half a head");
    let mut body = connect(shop.at);
    body.write_all(
        b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    )
    .expect("half a body");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut head, &mut rest).expect("an end");
    assert!((8..14).contains(&begun.elapsed().as_secs()), "its head took {:?}", begun.elapsed());
    is_problem(&answer(body), 408, "not whole");
    assert!(begun.elapsed().as_secs() < 25, "its body took {:?}", begun.elapsed());
}
