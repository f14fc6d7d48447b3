//! `/v1/events`: each event once, also to a listener who comes back; and what is lost is said.

use serde_json::{Value, json};

use crate::{
    client::{Ear, get, post},
    shop::Shop,
};

fn reject(shop: &Shop, n: usize) -> String {
    let list = get(shop.at, "/v1/chains?state=awaiting_approval&limit=1").json();
    let chain = list["chains"][0]["chain_id"].as_str().unwrap_or_else(|| panic!("no chain for {n}")).to_owned();
    let wish = json!({ "verb": "reject", "revision": 0, "reason": format!("number {n}") });
    let answer = post(shop.at, &format!("/v1/chains/{chain}/actions"), &[], &wish);
    assert_eq!(answer.status, 200, "{}", answer.body);
    chain
}

/// The chain and the id of the next event of an operator.
fn next_of_operator(ear: &mut Ear) -> (String, String) {
    loop {
        let told = ear.next();
        assert_ne!(told.event, "cut", "{told:?}");
        if told.event == "operator" {
            let event: Value = serde_json::from_str(&told.data).expect("JSON");
            return (event["chainId"].as_str().expect("a chain").to_owned(), told.id);
        }
    }
}

#[test]
fn whoever_comes_back_hears_each_event_once() {
    let shop = Shop::open("events", None);
    let mut ear = Ear::listen(shop.at, "");
    let (mut chains, mut heard) = (Vec::new(), Vec::new());
    let mut last = String::new();
    for n in 0..6 {
        chains.push(reject(&shop, n));
        if n % 2 == 1 {
            // He left before the one just now, and comes back.
            let (chain, id) = next_of_operator(&mut ear);
            heard.push(chain);
            last = id;
            ear = Ear::listen(shop.at, &last);
            let (chain, id) = next_of_operator(&mut ear);
            heard.push(chain);
            last = id;
        }
    }
    assert_eq!(heard, chains);
    assert!(!last.is_empty());
}

#[test]
fn what_is_lost_to_a_listener_is_said() {
    let shop = Shop::open("cut", None);
    reject(&shop, 0);
    // Of another process's life, and of no agent.
    for strange in ["1700000000000.5", "0.7-1.9", "nonsense"] {
        let told = Ear::listen(shop.at, strange).next();
        assert_eq!(told.event, "cut", "{strange}");
        assert!(told.data.contains("no longer kept"), "{told:?}");
    }
}
