//! What is said of a chain's life (S5.10), and the words it is said in (S1.10).

mod support;

use countermand::model::{
    Action, AnomalyKind, ChainChange, CommandResult, Destination, Input, Party, PlanState, ResultState, RouteAnswer,
    StatusCode, Verb, WaitReason,
};
use support::{Hand, auto, bus, undo};

/// S5.10: each change in a chain's life is said once, in order, so that services can hook in.
#[test]
fn a_chain_s_life_is_told_from_its_failure_to_its_end() {
    let mut hand = Hand::new(auto());
    hand.request(0, "c", "root", "", |_| {});
    hand.request(1, "c", "pay", "root", |request| request.effect = undo("Refund"));
    hand.respond(2, "c", "pay", StatusCode::Ok, "");
    hand.respond(3, "c", "root", StatusCode::Failed, "NO");
    hand.at(500);
    let id = hand.commands()[0].command_id.clone();
    let done = CommandResult {
        command_id: &id,
        chain_id: "c",
        state: ResultState::Done,
        reason: "",
        message: "",
        by: Party::default(),
    };
    hand.input(600, &Input::Result(done));
    hand.input(700, &Input::Result(done));
    hand.at(4_000_000);
    let told: Vec<String> = hand
        .said
        .iter()
        .filter_map(|action| match action {
            Action::Change { change, .. } => Some(match change {
                ChainChange::Decided => "decided".to_owned(),
                ChainChange::State(state) => state.word().to_owned(),
                ChainChange::UndoStarted { call_id, .. } => format!("undo {call_id} started"),
                ChainChange::Answered { call_id, state, .. } => format!("undo {call_id} {state}"),
                ChainChange::AnswerIgnored { call_id, state, .. } => format!("undo {call_id} {state} again"),
                ChainChange::Closed => "closed".to_owned(),
                other => format!("{other:?}"),
            }),
            _ => None,
        })
        .collect();
    let compensating = PlanState::Compensating.word();
    let compensated = PlanState::Compensated.word();
    assert_eq!(
        told,
        ["decided", "undo pay started", compensating, "undo pay done", compensated, "undo pay done again", "closed"]
    );
}

/// S5.15: all routes of a plan are asked for in one question and told in one answer; what is missing is sought anew when an
/// operator says so.
#[test]
fn the_routes_of_a_plan_are_sought_at_once_and_anew_for_an_operator() {
    let mut hand = Hand::new(auto());
    hand.engine.ask_for_routes();
    hand.request(0, "c", "root", "", |_| {});
    for n in 0..3 {
        let call = format!("call-{n}");
        hand.request(1, "c", &call, "root", |request| {
            request.destination.service = ["stock", "bank", "stock"][n];
            request.effect = undo("Undo");
        });
    }
    // They overlapped, so that none waits for another.
    for n in 0..3 {
        hand.respond(5, "c", &format!("call-{n}"), StatusCode::Ok, "");
    }
    hand.respond(9, "c", "root", StatusCode::Failed, "NO");
    hand.at(500);
    let sought = |hand: &Hand| -> Vec<(Vec<String>, bool)> {
        let seeks = hand.said.iter().filter_map(|action| match action {
            Action::Seek { destinations, anew, .. } => Some((destinations, *anew)),
            _ => None,
        });
        seeks.map(|(to, anew)| (to.iter().map(|to| to.service.clone()).collect(), anew)).collect()
    };
    assert_eq!(sought(&hand), [(vec!["bank".to_owned(), "stock".to_owned()], false)]);
    assert_eq!(hand.view_said("c"), None, "nothing is said before it is told");
    let to = |service: &str| [Destination { service: service.into(), route: String::new() }];
    let answer = RouteAnswer { chain_id: "c", there: &to("stock"), missing: &to("bank"), at: bus(500) };
    hand.input(500, &Input::Route(answer));
    let view = hand.view_said("c").expect("it is told");
    assert_eq!((view.state, view.waits), (PlanState::NeedsOperator, vec![WaitReason::NoRoute]));
    assert_eq!(hand.commands().len(), 2, "what need not wait goes");
    hand.operation(600, "c", "call-1", Verb::Retry);
    assert_eq!(sought(&hand)[1..], [(vec!["bank".to_owned()], true)]);
    hand.input(600, &Input::Route(RouteAnswer { there: &to("bank"), missing: &[], ..answer }));
    assert_eq!(hand.commands().len(), 3);
}

/// S1.10: the anomalies are a closed set.
#[test]
fn the_anomalies_are_those_of_the_rule_book() {
    let words: Vec<&str> = AnomalyKind::ALL.iter().map(|kind| kind.word()).collect();
    let rule = "conflicting_response conflicting_request message_id_reused orphan_response missing_parent \
                cyclic_parent limit_exceeded superseded_in_doubt duplicate_effect ran_after_undo decided_too_early";
    assert_eq!(words, rule.split_whitespace().collect::<Vec<_>>());
}
