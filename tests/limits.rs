//! Limits on everything but memory, and what happens at each (S1.5, S2.9, S2.10).

mod support;

use countermand::{
    model::{Action, AnomalyKind, ChainChange, Outcome, PlanState, Refusal, Span, StatusCode},
    policy::{OperationRule, Pattern},
    wire,
};
use prost::Message as _;
use support::{Hand, auto, undo};

fn refusals(hand: &Hand) -> Vec<Refusal> {
    let refused = |action: &Action| if let Action::Refused(refusal) = action { Some(*refusal) } else { None };
    hand.said.iter().filter_map(refused).collect()
}

/// S1.5: a chain that outgrows its limit keeps what it has; the rest is refused, and the chain is judged all the same.
#[test]
fn a_chain_larger_than_the_limit_stays_usable() {
    let mut policy = auto();
    policy.settings.limits.calls_per_chain = 3;
    let mut hand = Hand::new(policy);
    hand.request(0, "c", "root", "", |_| {});
    for n in 0..5 {
        let call = format!("call-{n}");
        hand.request(10, "c", &call, "root", |_| {});
        hand.respond(20, "c", &call, StatusCode::Ok, "");
    }
    hand.respond(30, "c", "root", StatusCode::Failed, "NO");
    hand.at(1_000);
    let view = hand.engine.view("c").expect("the chain is kept");
    let verdict = view.verdict.expect("and decided");
    assert_eq!(view.calls.len(), 3);
    assert_eq!(verdict.outcome, Outcome::Failed);
    assert!(verdict.anomalies.contains(&AnomalyKind::LimitExceeded));
    assert_eq!(refusals(&hand), vec![Refusal::LimitExceeded; 6]);
}

/// S5.15: no single record can stop a partition. What is left out of a picture is what tells the least.
#[test]
fn the_picture_of_a_large_chain_is_cut_and_says_so() {
    let mut hand = Hand::new(auto());
    hand.request(0, "c", "root", "", |_| {});
    for n in 0..400 {
        let call = format!("call-{n}");
        hand.request(10, "c", &call, "root", |request| {
            if n < 200 {
                request.effect = undo("Release");
            }
        });
        hand.respond(20, "c", &call, StatusCode::Ok, "");
    }
    hand.respond(30, "c", "root", StatusCode::Failed, "NO");
    hand.at(1_000);
    let view = hand.engine.view("c").expect("the chain is kept");
    let whole = wire::chain_record(&view);
    assert!(whole.calls.len() == 401 && whole.commands.len() == 200 && whole.encoded_len() > 40_000);
    assert_eq!(wire::chain_record_within(&view, whole.encoded_len()), whole);
    let mut last = usize::MAX;
    for largest in [whole.encoded_len() - 1, 25_000, 5_000] {
        let cut = wire::chain_record_within(&view, largest);
        assert!(cut.cut && cut.encoded_len() <= largest && cut.encoded_len() <= last, "{largest}");
        assert!(cut.verdict.as_ref().is_some_and(|verdict| verdict.failing.is_some() && !verdict.sentence.is_empty()));
        last = cut.encoded_len();
    }
    // Calls that worked and are not to be undone go first.
    let cut = wire::chain_record_within(&view, whole.encoded_len() - 1);
    assert_eq!((cut.calls.len(), cut.commands.len()), (201, 200));
}

/// S1.5: deeper calls than the limit stay in the picture, but are neither judged nor undone.
#[test]
fn a_chain_deeper_than_the_limit_is_judged_down_to_it() {
    let mut policy = auto();
    policy.settings.limits.depth = 4;
    let mut hand = Hand::new(policy);
    for n in 0..8 {
        let (call, parent) = (format!("d{n}"), if n == 0 { String::new() } else { format!("d{}", n - 1) });
        hand.request(n, "c", &call, &parent, |request| request.effect = undo("Undo"));
    }
    for n in (0..8).rev() {
        let code = if n == 0 { StatusCode::Failed } else { StatusCode::Ok };
        hand.respond(100 - n, "c", &format!("d{n}"), code, "NO");
    }
    hand.at(1_000);
    let verdict = hand.engine.view("c").and_then(|view| view.verdict).expect("decided");
    assert!(verdict.anomalies.contains(&AnomalyKind::LimitExceeded));
    assert!(!verdict.incomplete);
    let mut undone: Vec<&str> = hand.commands().iter().map(|command| command.call_id.as_str()).collect();
    undone.sort_unstable();
    assert_eq!(undone, ["d1"], "the first wave; d4 and below are out of reach");
}

/// S2.10: names from outside are kept within a bound; those that no chain uses any more make room.
#[test]
fn names_are_bounded_and_swept() {
    let mut policy = auto();
    policy.settings.limits.names = 50;
    policy.settings.linger = Span::secs(1);
    policy.settings.max_age = Span::secs(2);
    let mut hand = Hand::new(policy);
    for n in 0..500_i64 {
        let (chain, operation) = (format!("c{n}"), format!("Operation{n}"));
        hand.request(n * 100, &chain, "root", "", |request| request.operation = &operation);
        hand.respond(n * 100 + 1, &chain, "root", StatusCode::Ok, "");
    }
    assert_eq!(refusals(&hand), Vec::new(), "sweeping makes room for each new name");
    for n in 0..100_i64 {
        let (chain, operation) = (format!("open{n}"), format!("Held{n}"));
        hand.request(60_000, &chain, "root", "", |request| request.operation = &operation);
    }
    assert!(refusals(&hand).iter().all(|refusal| *refusal == Refusal::NamesFull));
    assert!(refusals(&hand).len() >= 50, "names in use are never given to others");
}

/// S2.10: names that are all in use, and ever more of them: each costs a refusal, not a walk over all calls; and when the
/// chains that used them have gone, there is room again.
#[test]
fn names_in_use_cost_no_walk_for_each_that_is_refused() {
    let mut policy = auto();
    policy.settings.limits.names = 2_000;
    let mut hand = Hand::new(policy);
    for n in 0..10_000_i64 {
        let (chain, service) = (format!("c{n}"), format!("service-{n}"));
        hand.request(0, &chain, "root", "", |request| request.source.service = &service);
    }
    let (refused, sweeps) = (refusals(&hand).len(), hand.engine.stats().sweeps);
    assert!((7_900..8_100).contains(&refused), "{refused} refused");
    assert!((1..100).contains(&sweeps), "{sweeps} walks over all calls for 8,000 refusals");
    hand.at(4_000_000);
    for n in 0..1_000_i64 {
        let (chain, service) = (format!("d{n}"), format!("later-{n}"));
        hand.request(4_000_000, &chain, "root", "", |request| request.source.service = &service);
    }
    assert_eq!(refusals(&hand).len(), refused, "the chains that used the names have gone");
}

/// S1.5, S1.7: an event is one call for each consumer that reports, and these count: a further one's report is refused,
/// and the chain is judged by the others, whether the reports come before the event or after it.
#[test]
fn consumers_of_an_event_count_as_calls() {
    for early in [true, false] {
        let mut policy = auto();
        policy.settings.limits.calls_per_chain = 6;
        let mut hand = Hand::new(policy);
        let event = |hand: &mut Hand| hand.event(0, "c", "placed");
        let report = |hand: &mut Hand, n: usize, code| hand.report(10, "c", "placed", &format!("consumer-{n}"), code);
        hand.event(0, "c", "first");
        if !early {
            event(&mut hand);
        }
        // One that belongs to no consumer keeps the event itself in the picture.
        hand.request(5, "c", "stray", "placed", |_| {});
        hand.respond(6, "c", "stray", StatusCode::Ok, "");
        for n in 0..10 {
            report(&mut hand, n, if n == 1 { StatusCode::Failed } else { StatusCode::Ok });
        }
        if early {
            event(&mut hand);
        }
        hand.at(4_000_000);
        let refused = refusals(&hand);
        assert!(refused.iter().all(|refusal| *refusal == Refusal::LimitExceeded), "{refused:?}");
        let view = hand.view_said("c").expect("decided");
        assert!(view.calls.len() <= 6, "{} calls", view.calls.len());
        let verdict = view.verdict.expect("a verdict");
        assert!(verdict.anomalies.contains(&AnomalyKind::LimitExceeded));
        if !early {
            assert_eq!((view.calls.len(), refused.len()), (6, 7), "first, placed, stray and three consumers");
            assert_eq!(verdict.path, ["placed/consumer-1"]);
        }
    }
}

/// S1.5: a request that comes again and again under ever other ids is remembered so often, and no more; the answer is
/// taken all the same.
#[test]
fn copies_under_other_ids_are_bounded() {
    let mut hand = Hand::new(auto());
    for n in 0..10_000_i64 {
        hand.request(0, "c", "root", "", |request| request.operation = if n % 2 == 0 { "Do" } else { "DoOther" });
    }
    assert_eq!(refusals(&hand), vec![Refusal::LimitExceeded; 10_000 - 34]);
    assert!(hand.engine.memory() < 3_000, "{} bytes", hand.engine.memory());
    hand.respond(1, "c", "root", StatusCode::Failed, "NO");
    hand.at(1_000);
    let verdict = hand.engine.view("c").and_then(|view| view.verdict).expect("decided");
    assert_eq!(verdict.outcome, Outcome::Failed);
    assert!(verdict.anomalies.contains(&AnomalyKind::LimitExceeded));
}

/// S2.9: after its linger a chain is only an id; what comes then starts no chain, and a root request says so.
#[test]
fn what_comes_for_a_closed_chain_is_refused_and_named() {
    let mut hand = Hand::new(auto());
    hand.request(0, "c", "root", "", |_| {});
    hand.respond(10, "c", "root", StatusCode::Ok, "");
    hand.at(31_000);
    assert!(hand.engine.view("c").is_none());
    hand.respond(32_000, "c", "late", StatusCode::Ok, "");
    hand.request(33_000, "c", "again", "", |_| {});
    assert_eq!(refusals(&hand), [Refusal::ChainClosed, Refusal::ChainClosed]);
    let reused = |action: &&Action| matches!(action, Action::Change { change: ChainChange::IdReused, .. });
    assert_eq!(hand.said.iter().filter(reused).count(), 1);
    assert!(hand.engine.view("c").is_none());
    // An hour after it closed the id is free.
    hand.request(3_700_000, "c", "again", "", |_| {});
    assert!(hand.engine.view("c").is_some());
}

/// S5.8: the storm brake holds the plans above its limit, and says so once.
#[test]
fn a_storm_of_plans_is_held_for_approval() {
    let mut policy = auto();
    policy.settings.brake.per_edge = 10;
    let mut hand = Hand::new(policy);
    for n in 0..30_i64 {
        let chain = format!("c{n}");
        hand.request(n * 10, &chain, "root", "", |_| {});
        hand.request(n * 10, &chain, "pay", "root", |request| request.effect = undo("Refund"));
        hand.respond(n * 10 + 1, &chain, "pay", StatusCode::Ok, "");
        hand.respond(n * 10 + 2, &chain, "root", StatusCode::Failed, "NO");
    }
    hand.at(2_000);
    assert_eq!(hand.commands().len(), 10);
    let held = (0..30)
        .filter(|n| hand.engine.view(&format!("c{n}")).is_some_and(|view| view.state == PlanState::AwaitingApproval));
    assert_eq!(held.count(), 20);
    let alerts = |action: &&Action| matches!(action, Action::Change { change: ChainChange::BrakeEngaged, .. });
    assert_eq!(hand.said.iter().filter(alerts).count(), 1);
}

/// S2.2, S5: a chain that was decided at its `max_age` is judged once, however many of its calls are open without a
/// limit: that they grow old is no news.
#[test]
fn calls_without_a_limit_that_grow_old_are_no_news() {
    let mut hand = Hand::new(auto());
    hand.request(0, "c", "root", "", |request| request.timeout = None);
    for n in 0..50 {
        hand.request(1 + n, "c", &format!("call-{n}"), "root", |request| request.timeout = None);
    }
    hand.respond(100, "c", "root", StatusCode::Failed, "NO");
    hand.at(3_700_000);
    let views = hand.said.iter().filter(|action| matches!(action, Action::View(_))).count();
    assert_eq!(views, 1);
}

/// S4.8: an own undo without a limit is let finish for as long as its chain could have lived, and not for ever.
#[test]
fn an_own_undo_that_never_ends_is_given_up_at_the_age_of_its_root() {
    let mut policy = auto();
    let mut rule = OperationRule::new(Pattern::new("*/Start").expect("a pattern"));
    rule.max_age = Some(Span::mins(10));
    rule.own_undo_window = Some(Span::secs(10));
    policy.catalogue.rules.push(rule);
    let mut hand = Hand::new(policy);
    hand.request(0, "c", "root", "", |request| request.operation = "Start");
    hand.request(1, "c", "pay", "root", |request| request.effect = undo("Refund"));
    hand.respond(2, "c", "pay", StatusCode::Ok, "");
    hand.respond(3, "c", "root", StatusCode::Failed, "NO");
    hand.request(1_000, "c", "refund", "root", |request| {
        request.compensates = "pay";
        request.timeout = None;
    });
    hand.at(590_000);
    assert_eq!(hand.commands().len(), 0, "it is let finish");
    hand.at(602_000);
    assert_eq!(hand.commands().len(), 1, "it was given up");
}
