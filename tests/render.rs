//! What people are shown of a chain, held to the letter: `UPDATE_RENDER=1 cargo test --test render` writes it anew, and
//! the diff is to be read.

mod support;

use std::{collections::BTreeMap, fs, path::PathBuf};

use countermand::{
    engine::Engine,
    model::{ChainView, EffectDeclaration, Fault, MessageKind, Party, Payload, Response, Status, StatusCode},
    policy::{
        load::{Source, load},
        payloads::veil,
    },
    render::{ChainLine, Look, dot, line, mermaid, tree},
    scenario,
};
use support::Hand;

/// A chain with a bit of everything: a fallback, a retry, a time-out with a late answer, an event, an undo of its own,
/// what cannot be undone, hostile names, and more depth than fits.
const EVERYTHING: &str = r#"
scenario: everything
config: {undeclared: effect}
bus:
  - {at: 0ms,    request: place,  from: gateway, to: order@1.4, op: PlaceOrder, timeout: 9s, effect: read_only}
  - {at: 5ms,    request: 8f14e45f-ceea-467f-a7d1-0d9f2a1b3c4d, in: place, to: inventory@2.0, op: Reserve, undo: Release}
  - {at: 9ms,    response: 8f14e45f-ceea-467f-a7d1-0d9f2a1b3c4d}
  - {at: 10ms,   request: price,  in: place, to: pricing@3.1, op: "/api/v2/prices/{country}/{city}/{store}/{article}/quote", effect: read_only}
  - {at: 12ms,   response: price, failed: "MODEL_NOT_LOADED_SINCE_THE_REGISTRY_WAS_UNREACHABLE"}
  - {at: 14ms,   request: price-2, in: place, retry_of: price, to: pricing@3.1, op: Quote, effect: read_only}
  - {at: 20ms,   response: price-2}
  - {at: 22ms,   event: told,     in: place, to: mailer@1.0, op: OrderPlaced}
  - {at: 25ms,   request: gift,   in: place, to: gifts@1.0, op: Add, timeout: 400ms, undo: Remove, in_doubt: undo}
  - {at: 30ms,   request: seat,   in: place, to: seats@6.2, op: Hold, undo: Free}
  - {at: 44ms,   response: seat}
  - {at: 50ms,   request: free,   in: place, to: seats@6.2, op: Free, compensates: seat}
  - {at: 60ms,   response: free}
  - {at: 70ms,   request: pay,    in: place, to: "pay\e[2Jment@3.1", op: Charge, undo: Refund}
  - {at: 1600ms, response: pay,   failed: CARD_DECLINED}
  - {at: 1610ms, response: place, failed: PAYMENT_FAILED}
  - {at: 1700ms, response: gift}
  - {at: 2s,     result: gift, state: done}
  - {at: 10s}
expect: {chain: {outcome: failed}}
"#;

fn picture(yaml: &str) -> ChainView {
    let scenario = scenario::parse(yaml, &scenario::default_policy()).remove(0).unwrap();
    let report = scenario::run(&scenario, &mut Engine::new(scenario.policy.clone()));
    report.ledger.picture("c").unwrap().clone()
}

fn hold(name: &str, came: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/render").join(name);
    if std::env::var_os("UPDATE_RENDER").is_some() {
        fs::write(&path, came).unwrap();
    }
    assert_eq!(came, fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

#[test]
fn a_chain_is_drawn_within_its_columns_and_to_the_letter() {
    let view = picture(EVERYTHING);
    let pretty = tree(&view, Look::default());
    let ascii = tree(&view, Look { ascii: true, ..Look::default() });
    for (text, width) in [(&pretty, 100), (&ascii, 100), (&tree(&view, Look { width: 94, ..Look::default() }), 94)] {
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} columns in\n{text}");
        assert!(!text.contains('\u{1b}'), "nothing moves the cursor");
    }
    assert!(ascii.is_ascii());
    hold("tree.txt", &pretty);
    hold("tree.ascii.txt", &ascii);
    hold("graph.dot", &dot(&view));
    hold("graph.mmd", &mermaid(&view));
    hold("line.txt", &format!("{}\n", line(&ChainLine::from(&view), Look::default())));
}

#[test]
fn a_deep_chain_says_how_deep_it_is() {
    let mut yaml = "scenario: deep\nbus:\n  - {at: 0ms, request: c0, from: x, to: s0, op: Go}\n".to_owned();
    for n in 1..60 {
        yaml += &format!("  - {{at: {n}ms, request: c{n}, in: c{}, to: s{n}, op: Go}}\n", n - 1);
    }
    yaml += "  - {at: 90ms, response: c59, failed: X}\n  - {at: 1s}\nexpect: {chain: {outcome: unknown}}\n";
    let text = tree(&picture(&yaml), Look::default());
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.lines().any(|line| line.starts_with("  …47 ") && line.contains("└ ✗ s59 Go (c59)")), "{text}");
}

/// S8.4: of payloads only what the configuration names, also of calls without an effect.
#[test]
fn of_payloads_only_what_is_named_is_shown() {
    let rules = r#"
        [[operations]]
        match = "quotes/*"
        show = ["request.article", "response.cents", "response.card"]
        [[operations]]
        match = "quotes/Secret"
        show = []
    "#;
    let loaded = load(Some(Source { name: "x".into(), text: rules.into() }), [], Vec::new()).expect("it is sound");
    let mut hand = Hand::new(loaded.config.policy());
    let asked = br#"{"article": "te\u001ba", "customer": "Ada"}"#;
    let told = br#"{"cents": 995, "card": {"number": "4111"}}"#;
    for (n, (call, operation, article)) in
        [("q", "Do", &asked[..]), ("s", "Secret", &asked[..])].into_iter().enumerate()
    {
        let at = 10 * i64::try_from(n).unwrap_or(0);
        hand.request(at, "c", call, "", |request| {
            request.destination.service = "quotes";
            request.operation = operation;
            request.payload = Some(Payload { type_url: "", value: article });
        });
        let status = Status { code: StatusCode::Ok, reason: "", message: "", caused_by: "", fault: Fault::Callee };
        let by = Party { service: "quotes", ..Party::default() };
        let payload = Some(Payload { type_url: "", value: told });
        let answer = Response { by, status, effect: EffectDeclaration::default(), payload };
        hand.message(at + 1, "c", call, MessageKind::Response(answer));
    }
    let view = hand.engine.view("c").expect("a picture");
    let fields = |call: &str| view.calls.iter().find(|it| it.call_id == call).map(|it| it.fields.clone());
    let named = [("request.article", "te\u{1b}a"), ("response.cents", "995")];
    assert_eq!(fields("q"), Some(named.map(|(name, text)| (name.to_owned(), text.to_owned())).into()));
    assert_eq!(fields("s"), Some(BTreeMap::new()));
    let text = tree(&view, Look::default());
    assert!(text.contains("response.cents 995") && !text.contains("Ada") && !text.contains('\u{1b}'), "{text}");
}

/// S1.7, S8.4: a consumer's part in an event shows what the event's rule names, or its own; and whoever reads a picture from the
/// bus shows no more of it than its own configuration lets people see.
#[test]
fn what_is_shown_of_an_event_is_shown_of_its_consumers_and_no_more_elsewhere() {
    let policy = |rules: &str| {
        let text = format!("[[operations]]\nmatch = \"orders/*\"\n{rules}\n");
        load(Some(Source { name: "x".into(), text }), [], Vec::new()).expect("it is sound").config.policy()
    };
    let rules = "consumers = [\"mail\"]\nreport_within = \"5s\"\nshow = [\"request.id\", \"response.sent\"]";
    let mut hand = Hand::new(policy(rules));
    let mut event = Hand::asked("");
    event.destination.service = "orders";
    event.payload = Some(Payload { type_url: "", value: br#"{"id": "o-7", "mail": "a@b"}"# });
    hand.message(0, "c", "placed", MessageKind::Event(event));
    let status = Status { code: StatusCode::Failed, reason: "NO", message: "", caused_by: "", fault: Fault::Callee };
    let by = Party { service: "mail", ..Party::default() };
    let payload = Some(Payload { type_url: "", value: br#"{"sent": false}"# });
    let answer = Response { by, status, effect: EffectDeclaration::default(), payload };
    hand.message(1, "c", "placed", MessageKind::Response(answer));
    let view = hand.engine.view("c").expect("a picture");
    let part =
        |view: &ChainView| view.calls.iter().find(|call| call.callee == "mail").expect("its part").fields.clone();
    let named = [("request.id", "o-7"), ("response.sent", "false")];
    assert_eq!(part(&view), named.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    let heard = |rules: &str| {
        let mut heard = view.clone();
        veil(&mut heard, &policy(rules));
        part(&heard).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(heard(rules), ["request.id", "response.sent"]);
    assert_eq!(heard("show = [\"request.id\"]"), ["request.id"]);
    assert_eq!(heard("mode = \"auto\""), Vec::<String>::new());
}
