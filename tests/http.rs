//! Who may ask the agent what: the token of `http.token`, over a real socket.

#![cfg(feature = "agent")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use countermand::{
    agent::Shared,
    audit::Log,
    http::{Api, Door, Token, Tokens, resources, serve},
    policy::{
        Word as _,
        load::{Role, SecretText, TokenConfig},
    },
    wire::WireLimits,
};
use tokio::net::TcpListener;

/// Serves on a port of its own for the length of `ask`.
fn served(token: Option<&str>, ask: impl FnOnce(SocketAddr) + Send + 'static) {
    let secret = |text: &str| SecretText::of(text).expect("a secret");
    served_to(token.map(|text| Token::new(&secret(text))).into(), ask);
}

fn served_to(tokens: Tokens, ask: impl FnOnce(SocketAddr) + Send + 'static) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let asked = tokio::task::spawn_blocking(move || ask(at));
        let end = async { asked.await.expect("the test's own questions") };
        let (_ends, ended) = tokio::sync::watch::channel(());
        let audit = Arc::new(Log::new(env!("CARGO_TARGET_TMPDIR").to_owned().into()));
        let api = Api::new(Arc::new(Shared::default()), Arc::default(), audit, WireLimits::default(), ended);
        serve(listener, api, tokens, end).await;
    });
}

/// Status, head and body of the answer to a GET with `headers`.
fn get(at: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    ask(at, "GET", path, headers)
}

fn ask(at: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(at).expect("somebody listens");
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn whoever_does_not_show_the_token_learns_nothing_but_whether_the_agent_lives() {
    served(Some("s3same"), |at| {
        for wrong in [
            "",
            "Authorization: Bearer \r\n",
            "Authorization: Bearer s3sam\r\n",
            "Authorization: Bearer s3same2\r\n",
            "Authorization: Basic s3same\r\n",
            "Authorization: s3same\r\n",
            "Authorization: Bearer s3same\r\nAuthorization: Bearer other\r\n",
        ] {
            for path in ["/v1/chains/c", "/v1/nothing", "/metrics", "/"] {
                let (status, head, body) = get(at, path, wrong);
                assert_eq!(status, 401, "{path} {wrong:?}");
                assert!(head.contains("www-authenticate: bearer"), "{head}");
                assert!(head.contains("content-type: application/problem+json"), "{head}");
                let problem: serde_json::Value = serde_json::from_str(&body).expect("problem details");
                assert_eq!(problem["status"], 401);
                assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("http.token")), "{body}");
                assert!(!body.contains("s3same"), "{body}");
            }
        }
        for right in ["Authorization: Bearer s3same\r\n", "authorization: bearer s3same\r\n"] {
            assert_eq!(get(at, "/v1/chains/c", right).0, 404, "no such chain, and that may be known");
            assert_eq!(get(at, "/metrics", right).0, 200);
        }
        // The worker of these tests has never turned.
        assert_eq!((get(at, "/healthz", "").0, get(at, "/readyz", "").0), (503, 503));
    });
}

#[test]
fn without_a_token_whoever_reaches_the_port_may_ask() {
    served(None, |at| {
        assert_eq!(get(at, "/v1/chains/c", "").0, 404);
        assert_eq!(get(at, "/metrics", "").0, 200);
    });
}

/// The hashes are those of `openssl dgst -sha256` over the words `viewer`, `operator` and `admin`.
#[test]
fn each_resource_is_for_those_whose_role_allows_it() {
    let hashes = [
        (Role::Viewer, "d35ca5051b82ffc326a3b0b6574a9a3161dee16b9478a199ee39cd803ce5b799"),
        (Role::Operator, "06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23"),
        (Role::Admin, "8c6976e5b5410415bde908bd4dee15dfb167a9c873fc4bb8a81f6f2ab448a918"),
    ];
    let bytes = |hex: &str| {
        let digit = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).expect("hexadecimal digits");
        std::array::from_fn(digit)
    };
    let token = |(role, hex): (Role, &str)| {
        Token::named(&TokenConfig { name: format!("a {}", role.word()), role, sha256: bytes(hex) })
    };
    served_to(hashes.into_iter().map(token).collect(), |at| {
        let mut forbidden = 0;
        for resource in resources().into_iter().filter(|it| it.door == Door::Guarded && it.path != "/v1/events") {
            let path = resource.path.replace("{id}", "x");
            for role in [Role::Viewer, Role::Operator, Role::Admin] {
                let bearer = format!("Authorization: Bearer {}\r\n", role.word());
                let (status, _, body) = ask(at, resource.method.as_str(), &path, &bearer);
                assert_ne!(status, 401, "{path}");
                assert_eq!(
                    status == 403,
                    role < resource.role,
                    "{} {path} as {}: {body}",
                    resource.method,
                    role.word()
                );
                forbidden += usize::from(status == 403);
                let head = ask(at, "HEAD", &path, &bearer).0;
                assert!(head != 403 || resource.method != "GET", "{path}");
            }
            assert_eq!(ask(at, resource.method.as_str(), &path, "Authorization: Bearer other\r\n").0, 401);
            assert_eq!(ask(at, resource.method.as_str(), &path, "").0, 401);
        }
        assert_eq!(forbidden, 7, "a viewer at four doors, an operator at three");
    });
}
