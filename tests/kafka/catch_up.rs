//! An agent that was down: what it missed is decided as if it had been there (S2.5), and no command is sent again whose
//! answer lies in the backlog (S5.13).

use std::{collections::BTreeSet, time::Duration};

use countermand::wire::proto::{self, Command, Kind};
use prost::Message as _;

use crate::{
    bus::{Reader, Sender, pass, until},
    traffic::{Participants, Story, play},
    world::World,
};

/// Commands that nobody had answered when the agent stopped.
const UNANSWERED: usize = 1_000;

/// An hour of chains, one each three seconds, in which every call uses up nearly all of its time: whatever is judged by
/// another clock than the bus's times out.
#[test]
fn an_hour_of_healthy_traffic_times_nothing_out() {
    const CHAINS: i64 = 1_200;
    let world = World::new("hour");
    let agent = world.start("a").ready();
    play(&world, &[("before".into(), Story::Declined)], 100);
    agent.chain("before", |picture| picture["outcome"] == "failed");
    assert!(agent.terminate().success());
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).expect("a time");
    let begin = now - 3_600_000;
    let sender = Sender::new();
    let mut messages = Vec::new();
    for n in 0..CHAINS {
        let id = format!("chain-{n}");
        for (n_th, (_, mut envelope)) in (0..).zip(Story::Good.messages(&id)) {
            // Each call is answered 1.9 s after it began, and may take 2 s; the root may take longer.
            let limit = if envelope.call_id == "place" { 10 } else { 2 };
            if envelope.kind() == Kind::Request {
                envelope.timeout = Some(proto::Duration { seconds: limit, nanos: 0 });
            }
            let after = [0, 5, 1_905, 1_910, 3_810, 3_815][n_th];
            messages.push((begin + n * 3_000 + after, envelope));
        }
    }
    messages.sort_by_key(|(at, _)| *at);
    for (at, envelope) in &messages {
        let topic = if envelope.kind() == Kind::Request { &world.requests } else { &world.responses };
        sender.send_at(topic, &envelope.chain_id, &envelope.encode_to_vec(), Some(*at));
    }
    sender.flush();
    let agent = world.start("a").ready();
    let decided = "countermand_inputs_total{result=\"decided\"}";
    until("all chains to be decided", || {
        agent.metric(decided).filter(|&count| count >= f64::from(i32::try_from(CHAINS).expect("a number")))
    });
    let outcomes = ["failed", "unknown", "succeeded"]
        .map(|outcome| agent.metric(&format!("countermand_verdicts_total{{outcome=\"{outcome}\"}}")));
    assert_eq!(outcomes, [None; 3], "nothing to say about any of them; log:\n{}", agent.log());
    assert_eq!(agent.metric("countermand_open_chains"), Some(0.0));
    assert!(agent.terminate().success());
}

#[test]
fn a_thousand_answers_in_the_backlog_are_read_before_anything_is_sent_again() {
    let mut world = World::new("backlog");
    world.answer_timeout = "1s";
    let stories: Vec<(String, Story)> = (0..UNANSWERED).map(|n| (format!("chain-{n}"), Story::Declined)).collect();
    let agent = world.start("a").ready();
    let commands = Reader::new(&[&world.command_topics()[0]]);
    play(&world, &stories, 1_000);
    until("all commands to be out", || {
        agent.metric("countermand_pending_commands{state=\"sent\"}").filter(|&count| count >= 1_000.0)
    });
    // Not killed: what it was committing then might become visible only later, and be taken for sent again.
    assert!(agent.terminate().success());
    // Their waits are over when the agent comes back: one that went by the host clock alone would send them again.
    let before = commands.rest().len();
    pass(Duration::from_secs(10));
    let participants = Participants::start(&world);
    let results = Reader::new(&[&world.topic("results")]);
    let mut answers = 0;
    until("every command to be answered", || {
        answers += usize::from(results.next(Duration::from_millis(100)).is_some());
        (answers >= before).then_some(())
    });
    let restarted = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let agent = world.start("a").ready();
    until("all chains to be compensated", || {
        agent.metric("countermand_plans{state=\"compensated\"}").filter(|&count| count >= 1_000.0)
    });
    assert!(agent.terminate().success());
    let sent: Vec<Command> = participants.stop().into_iter().map(|received| received.command).collect();
    let since = i64::try_from(restarted.as_secs()).expect("a time");
    let is_late = |command: &&Command| command.issued_at.is_some_and(|at| at.seconds >= since);
    let late: Vec<(&str, u32)> =
        sent.iter().filter(is_late).map(|command| (command.chain_id.as_str(), command.attempt)).collect();
    let ids: BTreeSet<&str> = sent.iter().map(|command| command.command_id.as_str()).collect();
    println!("{UNANSWERED} commands, {before} publications before the stop, {answers} answers meanwhile");
    assert_eq!(late, [], "sent again although its answer was there");
    assert_eq!((ids.len(), sent.len()), (UNANSWERED, before));
}
