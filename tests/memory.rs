//! The limit on memory: which chains go at it, in which order, and which never do (S2.10).

mod support;

use countermand::{
    model::{
        Action, ChainChange, Destination, Input, PlanState, Request, ResultState, RouteAnswer, Span, StatusCode, Verb,
        WaitReason,
    },
    policy::{OperationRule, Pattern},
};
use support::{Hand, auto, bus, undo};

/// An engine with that much memory, which remembers so many ids of closed chains.
fn hand_within(memory: usize, closed_chains: usize) -> Hand {
    let mut policy = auto();
    policy.settings.limits.memory = memory;
    policy.settings.limits.closed_chains = closed_chains;
    Hand::new(policy)
}

/// What was given up, and as what.
fn evicted(action: &Action) -> Option<(&str, &'static str)> {
    match action {
        Action::Change { chain_id, change: ChainChange::Evicted(class), .. } => Some((chain_id, class)),
        _ => None,
    }
}

fn evictions(hand: &Hand) -> Vec<&'static str> {
    hand.said.iter().filter_map(evicted).map(|(_, class)| class).collect()
}

/// A chain that failed, with a payment that was answered `paid`.
fn fail(hand: &mut Hand, ms: i64, chain: &str, paid: StatusCode) {
    hand.request(ms, chain, "root", "", |_| {});
    hand.request(ms + 1, chain, "pay", "root", |request| request.effect = undo("Refund"));
    hand.respond(ms + 2, chain, "pay", paid, "");
    hand.respond(ms + 3, chain, "root", StatusCode::Failed, "NO");
}

/// S2.10: under a flood of chains that never end memory stays at its limit, undecided chains without a failure go, and
/// a chain with a command out never does. All chains are looked through once for each twentieth that comes anew.
#[test]
fn memory_stays_at_its_limit_and_a_chain_with_a_command_out_is_kept() {
    let mut hand = hand_within(2_000_000, 1_000);
    fail(&mut hand, 0, "kept", StatusCode::Ok);
    hand.at(1_000);
    assert_eq!(hand.commands().len(), 1);
    for n in 0..20_000 {
        hand.request(1_000, &format!("chain-{n:036}"), "root", "", |request| request.timeout = Some(Span::hours(1)));
        assert!(hand.engine.memory() < 2_010_000, "{} bytes after {n} chains", hand.engine.memory());
    }
    assert!(evictions(&hand).len() > 10_000);
    assert!(!hand.engine.is_full());
    let sweeps = hand.engine.stats().sweeps;
    assert!((10..200).contains(&sweeps), "{sweeps} walks over all chains for 20,000 messages");
    assert_eq!(hand.engine.view("kept").map(|view| view.state), Some(PlanState::Compensating));
}

/// S2.10: what is never given up may fill the memory. Then the engine says so, and gives up nothing for it; whoever
/// cannot pause costs no walk over all chains with each message; and once enough has gone, there is room again.
#[test]
fn an_engine_full_of_commands_says_so_until_there_is_room_again() {
    let mut hand = hand_within(1_000_000, 100);
    let mut failed = 0;
    while !hand.engine.is_full() {
        let chain = format!("failed-{failed}");
        fail(&mut hand, failed * 1_000, &chain, StatusCode::Ok);
        hand.at((failed + 1) * 1_000);
        failed += 1;
    }
    let now = failed * 1_000;
    assert_eq!((evictions(&hand).len(), hand.engine.stats().sweeps), (0, 0), "nothing may go");
    assert!((1_000_000..1_010_000).contains(&hand.engine.memory()), "{}", hand.engine.memory());
    for n in 0..5_000 {
        hand.request(now, &format!("chain-{n}"), "root", "", |_| {});
        assert!(hand.engine.memory() < 1_060_000, "{} bytes after {n} chains", hand.engine.memory());
    }
    let sweeps = hand.engine.stats().sweeps;
    assert!((2..100).contains(&sweeps), "{sweeps} walks over all chains for 5,000 messages");
    assert!(evictions(&hand).iter().all(|class| *class == "undecided"));
    assert!((0..failed).all(|n| hand.engine.view(&format!("failed-{n}")).is_some()));
    assert!(hand.engine.is_full());
    let commands: Vec<(String, String)> =
        hand.commands().iter().map(|command| (command.chain_id.clone(), command.command_id.clone())).collect();
    for (chain, command) in &commands {
        hand.result(now, chain, command, ResultState::Done);
    }
    hand.request(now, "one-more", "root", "", |_| {});
    assert!(!hand.engine.is_full(), "answered, they may go");
    assert!(evictions(&hand).contains(&"finished failure"));
}

/// S2.10: undecided chains with a failure go last, since while input is paused nobody would ever decide them; an operator is
/// told of each.
#[test]
fn undecided_failures_stop_no_partition_and_need_an_operator() {
    let mut hand = hand_within(1_000_000, 100);
    hand.request(0, "open", "root", "", |_| {});
    for n in 0..3_000 {
        let chain = format!("failing-{n}");
        hand.request(0, &chain, "root", "", |_| {});
        hand.request(0, &chain, "pay", "root", |_| {});
        hand.respond(0, &chain, "pay", StatusCode::Failed, "NO");
        assert!(!hand.engine.is_full());
    }
    let given_up: Vec<(&str, &str)> = hand.said.iter().filter_map(evicted).collect();
    assert_eq!(given_up[0], ("open", "undecided"), "what has no failure goes first");
    let told = hand
        .said
        .iter()
        .filter(|action| matches!(action, Action::Change { change: ChainChange::State(PlanState::NeedsOperator), .. }));
    assert!(given_up.len() > 1_000 && told.count() == given_up.len() - 1);
    assert!(given_up[1..].iter().all(|(_, class)| *class == "undecided failure"));
}

/// S2.10: chains go in the order of the rule, the oldest first; one whose effect is still in doubt says that it needs an
/// operator, since its evidence will not be waited for, and one whose doubt was settled does not.
#[test]
fn chains_are_given_up_in_order_and_what_is_in_doubt_needs_an_operator() {
    let mut policy = auto();
    policy.settings.limits.memory = 400_000;
    policy.settings.linger = Span::hours(1);
    let mut hand = Hand::new(policy);
    for (begun, chain) in [(0, "doubt-1"), (10, "settled"), (20, "doubt-2")] {
        // An attempt that may have worked beside the one that did (S4.4); where that is void, its undo settles it.
        let root = if chain == "settled" { StatusCode::Failed } else { StatusCode::Ok };
        let undone = |request: &mut Request<'_>| {
            let mut effect = undo("Refund");
            effect.compensation.as_mut().expect("a compensation").accepts_in_doubt = true;
            request.effect = effect;
        };
        hand.request(begun, chain, "root", "", |_| {});
        hand.request(begun + 1, chain, "pay", "root", undone);
        hand.respond(begun + 2, chain, "pay", StatusCode::Unknown, "");
        if root == StatusCode::Ok {
            hand.request(begun + 3, chain, "again", "root", |request| {
                undone(request);
                request.retry_of = "pay";
            });
            hand.respond(begun + 4, chain, "again", StatusCode::Ok, "");
        }
        hand.respond(begun + 5, chain, "root", root, "");
    }
    hand.request(30, "failed", "root", "", |_| {});
    hand.respond(31, "failed", "root", StatusCode::Failed, "NO");
    hand.request(32, "fine", "root", "", |_| {});
    hand.respond(33, "fine", "root", StatusCode::Ok, "");
    hand.at(1_000);
    let command = hand.commands()[0].command_id.clone();
    hand.result(1_001, "settled", &command, ResultState::Done);
    let before = hand.said.len();
    for n in 0.. {
        if evictions(&hand).contains(&"undecided") {
            break;
        }
        assert!(n < 10_000, "nothing is given up");
        hand.request(2_000 + n, &format!("open-{n}"), "root", "", |request| request.timeout = Some(Span::hours(1)));
    }
    let given_up: Vec<(&str, &str)> = hand.said.iter().filter_map(evicted).take(6).collect();
    assert_eq!(
        given_up[..5],
        [
            ("fine", "lingering success"),
            ("failed", "finished failure"),
            ("doubt-1", "evidence_expired"),
            ("settled", "evidence_expired"),
            ("doubt-2", "evidence_expired"),
        ]
    );
    assert_eq!(given_up[5].0, "open-0");
    let last_words = hand.said[before..].iter().filter_map(|action| match action {
        Action::View(view) => Some((view.chain_id.as_str(), view.state, view.waits.clone())),
        _ => None,
    });
    let needs = |chain| (chain, PlanState::NeedsOperator, vec![WaitReason::EvidenceExpired]);
    assert_eq!(last_words.collect::<Vec<_>>(), [needs("doubt-1"), needs("doubt-2")]);
}

/// The last state that was said of a chain, and why.
fn last_words(hand: &Hand, chain: &str) -> Option<(PlanState, Vec<WaitReason>)> {
    hand.view_said(chain).map(|view| (view.state, view.waits))
}

/// S2.10, S5.13: where commands that nobody answers fill the memory, they are sent again although envelopes are held: until
/// their attempts are used up and an operator is needed. Bus time stands still meanwhile.
#[test]
fn commands_are_sent_again_while_envelopes_are_held() {
    let mut hand = hand_within(300_000, 100);
    let results = hand.engine.lane("results", 0);
    let envelopes = hand.lane;
    let both = [envelopes, results];
    let mut failed = 0;
    while !hand.engine.is_full() {
        fail(&mut hand, failed * 100, &format!("failed-{failed}"), StatusCode::Ok);
        failed += 1;
        hand.advance(failed * 100, &both);
    }
    let now = failed * 100;
    hand.request(now, "open", "root", "", |_| {});
    hand.advance(now + 3_600_000, &[results]);
    assert!(hand.commands().iter().all(|command| command.attempt == 1), "one is not read to its end: nobody knows");
    hand.engine.hold(envelopes, true);
    for minute in 61..120 {
        hand.advance(now + minute * 60_000, &[results]);
    }
    let attempts = hand.commands().iter().filter(|command| command.chain_id == "failed-0").count();
    assert_eq!(attempts, 5);
    assert_eq!(last_words(&hand, "failed-0"), Some((PlanState::NeedsOperator, vec![WaitReason::Stuck])));
    let open = hand.engine.view("open").expect("it is kept");
    assert_eq!(open.verdict, None, "its deadline has passed only by the host clock");
}

/// S2.10, S4.9: plans that wait for what only paused input would bring stop no partition: they go where they alone fill the
/// memory, and an operator is told of each. While one has paused the agent it is he who is waited for.
#[test]
fn plans_of_which_nothing_is_out_go_at_last_and_need_an_operator() {
    for paused in [false, true] {
        let mut policy = auto();
        policy.settings.limits.memory = 400_000;
        let mut rule = OperationRule::new(Pattern::new("*/Do").expect("a pattern"));
        rule.own_undo_window = (!paused).then_some(Span::hours(1));
        policy.catalogue.rules.push(rule);
        let mut hand = Hand::new(policy);
        if paused {
            hand.operation(0, "", "", Verb::Pause);
        }
        for n in 0..500 {
            fail(&mut hand, n * 500, &format!("failed-{n}"), StatusCode::Ok);
            assert!(paused || !hand.engine.is_full());
        }
        assert_eq!((hand.commands().len(), hand.engine.is_full()), (0, paused));
        if paused {
            assert_eq!(evictions(&hand).len(), 0);
            continue;
        }
        let given_up = evictions(&hand);
        assert!(given_up.len() > 100 && given_up.iter().all(|class| *class == "unsent plan"), "{given_up:?}");
        assert_eq!(last_words(&hand, "failed-0"), Some((PlanState::NeedsOperator, vec![WaitReason::EvidenceExpired])));
        assert_eq!(hand.view_said("failed-0").map(|view| view.commands.len()), Some(1), "what was planned is told");
    }
}

/// S2.10, S5.15: a chain is not given up while it is asked whether its commands have a route.
#[test]
fn a_chain_whose_route_is_sought_is_kept() {
    let mut hand = hand_within(300_000, 100);
    hand.engine.ask_for_routes();
    fail(&mut hand, 0, "sought", StatusCode::Ok);
    hand.at(1_000);
    assert!(hand.said.iter().any(|action| matches!(action, Action::Seek { .. })));
    for n in 0..3_000 {
        hand.request(1_000, &format!("chain-{n}"), "root", "", |request| request.timeout = Some(Span::hours(1)));
    }
    assert!(evictions(&hand).len() > 1_000);
    let there = [Destination { service: "callee".into(), route: String::new() }];
    let answer = RouteAnswer { chain_id: "sought", there: &there, missing: &[], at: bus(1_000) };
    hand.input(1_001, &Input::Route(answer));
    assert_eq!(hand.commands().len(), 1);
}
