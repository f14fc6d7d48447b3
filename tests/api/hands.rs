//! Operators' hands: what is asked under one key acts once; every action is in the audit; pages give each chain once.

use std::{collections::BTreeSet, fs, thread};

use countermand::{
    audit::verify,
    http::Token,
    policy::load::{Role, TokenConfig},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    client::{ask, get, post},
    shop::{CHAINS, Shop},
};

fn waiting(shop: &Shop) -> Vec<String> {
    let list = get(shop.at, "/v1/chains?state=awaiting_approval&limit=500").json();
    list["chains"]
        .as_array()
        .expect("chains")
        .iter()
        .map(|it| it["chain_id"].as_str().expect("an id").to_owned())
        .collect()
}

fn wish(verb: &str, reason: &str) -> Value {
    json!({ "verb": verb, "revision": 0, "reason": reason, "by": "ann" })
}

/// Entries of the audit about a chain, as `what verb`.
fn acts(shop: &Shop, chain: &str) -> Vec<String> {
    let text = fs::read_to_string(&shop.audit).expect("an audit file");
    verify(text.as_bytes()).expect("a good file");
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an entry"));
    let of_chain = entries.filter(|entry| entry["chain_id"] == chain);
    of_chain.map(|it| format!("{} {}", it["what"], it["verb"]).replace('"', "")).collect()
}

#[test]
fn one_key_is_one_action_however_often_it_is_asked_for() {
    let shop = Shop::open("keys", None);
    let chains = waiting(&shop);
    let actions = |n: usize| format!("/v1/chains/{}/actions", chains[n]);
    let (key, reject) = ("Idempotency-Key: first", wish("reject", "once"));
    // At the same time, and again.
    let at_once: Vec<Value> = thread::scope(|scope| {
        let asked = || post(shop.at, &actions(0), &[key], &reject);
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(asked)).collect();
        asking.into_iter().map(|asked| asked.join().expect("an answer").json()).collect()
    });
    let again = post(shop.at, &actions(0), &[key], &reject).json();
    assert_eq!((&again["outcome"], &again["state"], &again["by"]), (&"done".into(), &"observed".into(), &"ann".into()));
    assert!(at_once.iter().all(|answer| *answer == again), "{at_once:?}");
    let asked_again = get(shop.at, &format!("/v1/operations/{}", again["operation_id"].as_str().expect("an id")));
    assert_eq!(asked_again.json(), again);
    let done = acts(&shop, &chains[0]);
    assert_eq!(done, ["asked reject", "done reject"]);
    // Another body, another chain, another verb: none of them is done.
    for (n, other) in [(0, wish("reject", "twice")), (1, reject.clone()), (0, wish("approve", "once"))] {
        let refused = post(shop.at, &actions(n), &[key], &other);
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(refused.body.contains("Idempotency-Key"), "{}", refused.body);
    }
    assert!(acts(&shop, &chains[1]).is_empty() && acts(&shop, &chains[0]) == done);
    // What was refused stays refused under its key, also once it could be done.
    let (stale, key) = (json!({ "verb": "approve", "revision": 9, "reason": "too early" }), "Idempotency-Key: second");
    let first = post(shop.at, &actions(2), &[key], &stale);
    let second = post(shop.at, &actions(2), &[key], &stale);
    assert_eq!((first.status, first.json()), (409, second.json()));
    assert_eq!(acts(&shop, &chains[2]), ["asked approve", "refused approve"]);
    // The same for all engines.
    let pause = json!({ "reason": "a test" });
    let key = "Idempotency-Key: third";
    let (first, second) = (post(shop.at, "/v1/pause", &[key], &pause), post(shop.at, "/v1/pause", &[key], &pause));
    assert_eq!((first.status, first.json()), (200, second.json()));
    assert_eq!(post(shop.at, "/v1/resume", &[key], &pause).status, 422);
    assert_eq!(post(shop.at, "/v1/resume", &[], &pause).status, 200);
}

/// Whatever becomes of chains meanwhile: their place among the pages stays.
#[test]
fn pages_give_each_chain_once_while_chains_change() {
    let shop = Shop::open("pages", None);
    let chains = waiting(&shop);
    let all: BTreeSet<&String> = chains.iter().collect();
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = get(shop.at, &format!("/v1/chains?limit=3{cursor}")).json();
        assert_eq!(page["cut"], false);
        let listed = page["chains"].as_array().expect("chains");
        seen.extend(listed.iter().map(|it| it["chain_id"].as_str().expect("an id").to_owned()));
        pages += 1;
        // One that is still to come, and one that was there already.
        for chain in [chains.get(pages), chains.get(CHAINS - 1 - pages)].into_iter().flatten() {
            post(shop.at, &format!("/v1/chains/{chain}/actions"), &[], &wish("reject", "meanwhile"));
        }
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let once: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "no chain twice");
    assert!(once.is_superset(&all) && pages >= CHAINS / 3, "all of them, in {pages} pages");
}

/// Whoever has a token of his own acts under its name and within its role.
#[test]
fn a_token_says_who_asks_and_what_he_may() {
    let token = |name: &str, role| {
        let sha256 = Sha256::digest(format!("{name}-token").as_bytes()).into();
        Token::named(&TokenConfig { name: name.to_owned(), role, sha256 })
    };
    let tokens = [token("page", Role::Viewer), token("ops", Role::Operator), token("boss", Role::Admin)];
    let shop = Shop::open_to("roles", tokens.into_iter().collect());
    let bearer = |name: &str| format!("Authorization: Bearer {name}-token");
    let chain = loop {
        let list = ask(shop.at, "GET", "/v1/chains?state=awaiting_approval", &[&bearer("page")], "").json();
        if let Some(chain) = list["chains"][0]["chain_id"].as_str() {
            break chain.to_owned();
        }
    };
    let actions = format!("/v1/chains/{chain}/actions");
    let said = |name: &str, path: &str, body: &Value| post(shop.at, path, &[&bearer(name)], body);
    let word = json!({ "reason": "a test", "by": "ann" });
    for (name, path, body) in [
        ("page", actions.as_str(), &wish("reject", "a test")),
        ("page", "/v1/pause", &word),
        ("ops", "/v1/pause", &word),
        ("ops", "/v1/resume", &word),
        ("ops", "/v1/brake-release", &word),
    ] {
        let refused = said(name, path, body);
        assert_eq!(refused.status, 403, "{name} {path}: {}", refused.body);
        assert!(refused.json()["detail"].as_str().is_some_and(|it| it.contains("role")), "{}", refused.body);
    }
    assert_eq!(fs::read_to_string(&shop.audit).unwrap_or_default(), "", "nothing was even asked for");
    let done = said("ops", &actions, &wish("reject", "a test"));
    assert_eq!((done.status, &done.json()["by"]), (200, &"ops".into()), "{}", done.body);
    for path in ["/v1/pause", "/v1/resume", "/v1/brake-release"] {
        assert_eq!(said("boss", path, &word).status, 200, "{path}");
    }
    let text = fs::read_to_string(&shop.audit).expect("an audit file");
    let who: BTreeSet<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an entry")["by"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(who, BTreeSet::from(["boss".to_owned(), "ops".to_owned()]), "not whom they said they are");
    for wrong in ["nobody", "OPS"] {
        assert_eq!(ask(shop.at, "GET", "/v1/chains", &[&bearer(wrong)], "").status, 401, "{wrong}");
    }
}
