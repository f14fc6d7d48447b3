//! Topics come and go while the agent runs: a pattern takes in what is new, and what is gone stops nothing.

use countermand::wire::proto::Envelope;
use prost::Message as _;

use crate::{
    agent::Agent,
    bus::{Sender, delete_topic, make_topic_of, make_topics, until},
    traffic::{Participants, Story, commands_of, ids_of, play},
    world::World,
};

/// Chains of these ids with a declined payment.
fn declined(ids: &[&str]) -> Vec<(String, Story)> {
    ids.iter().map(|id| ((*id).to_owned(), Story::Declined)).collect()
}

/// Everything that is said in chains, into one topic.
fn say(topic: &str, stories: &[(String, Story)]) {
    let sender = Sender::new();
    for (id, story) in stories {
        for (_, message) in story.messages(id) {
            let message: Envelope = message;
            sender.send(topic, &message.chain_id, &message.encode_to_vec(), &[]);
        }
    }
    sender.flush();
}

fn compensated(agent: &Agent, stories: &[(String, Story)]) {
    stories.iter().for_each(|(id, _)| drop(agent.chain(id, |picture| picture["state"] == "compensated")));
}

fn unread(agent: &Agent, count: f64) -> String {
    until("what is not read", || agent.metric("countermand_unread_topics").filter(|now| *now == count));
    let ready = || agent.get("/readyz").and_then(|(status, body)| (status == 200).then_some(body));
    until("the agent to be ready beside that", ready)
}

#[test]
fn topics_come_and_go() {
    let mut world = World::new("inputs");
    let late = |name: &str| format!("{}.late.{name}", world.name);
    let (one, two, odd) = (late("one"), late("two"), late("odd"));
    world.inputs.push(format!("^{}\\.late\\..*", world.name.replace('.', "\\.")));
    world.more = "look_every = \"500ms\"".to_owned();
    make_topics(&[&one]);
    let agent = world.start("a").ready();
    let participants = Participants::start(&world);
    let mut stories = declined(&["one-1", "one-2"]);
    say(&one, &stories);
    compensated(&agent, &stories);

    // What was said before the topic was found is read, too.
    make_topics(&[&two]);
    let later = declined(&["two-1", "two-2", "two-3"]);
    say(&two, &later);
    compensated(&agent, &later);
    stories.extend(later);

    make_topic_of(&odd, 3);
    assert!(unread(&agent, 1.0).contains("3 partitions"));
    delete_topic(&odd);
    unread(&agent, 0.0);

    // The other inputs are read on, new and old.
    delete_topic(&one);
    until("the agent to have seen it", || agent.log().contains(&format!("topics={two},")).then_some(()));
    let more = declined(&["both-1", "both-2"]);
    play(&world, &more, 100);
    compensated(&agent, &more);
    stories.extend(more);
    let again = declined(&["two-4"]);
    say(&two, &again);
    compensated(&agent, &again);
    stories.extend(again);

    assert!(agent.terminate().success());
    assert_eq!(ids_of(participants.stop()), commands_of(&stories));
}

/// While services still speak in it: command clocks run on, what was read is decided, and the others are read on.
#[test]
fn an_input_that_is_deleted_under_load_stops_nothing() {
    let mut world = World::new("torn");
    let torn = format!("{}.torn", world.name);
    world.inputs.push(torn.clone());
    world.answer_timeout = "2s";
    world.more = "look_every = \"500ms\"".to_owned();
    make_topics(&[&torn]);
    let agent = world.start("a").ready();
    // Nobody answers commands: they are sent again by clocks that must not wait for a topic that is gone.
    let before = declined(&["torn-1", "torn-2", "torn-3", "torn-4"]);
    say(&torn, &before);
    let is_out = |picture: &serde_json::Value| picture["state"] == "compensating";
    before.iter().for_each(|(id, _)| drop(agent.chain(id, is_out)));
    // Chains that hang there: their calls time out although nothing comes any more.
    let hanging: Vec<(String, Story)> = (0..8).map(|n| (format!("hangs-{n}"), Story::Hanging)).collect();
    let sender = Sender::new();
    for (id, _) in &hanging {
        let (_, request) = &Story::Hanging.messages(id)[3];
        let request = Envelope { parent_call_id: String::new(), ..request.clone() };
        sender.send(&torn, id, &request.encode_to_vec(), &[]);
    }
    sender.flush();
    until("all of it to be read", || agent.metric("countermand_chains").filter(|count| *count >= 12.0));
    delete_topic(&torn);
    assert!(unread(&agent, 1.0).contains("is gone"));
    let participants = Participants::start(&world);
    let after = declined(&["whole-1", "whole-2", "whole-3"]);
    play(&world, &after, 100);
    compensated(&agent, &before);
    compensated(&agent, &hanging);
    compensated(&agent, &after);
    // The next agent has the same state, and the topic is still gone.
    assert!(agent.terminate().success());
    let agent = world.start("a").ready();
    assert!(unread(&agent, 1.0).contains("is gone"));
    let more = declined(&["next-1"]);
    play(&world, &more, 100);
    compensated(&agent, &more);
    assert!(agent.terminate().success());
    participants.stop();
}

/// Lost and made again, as an operator is told to: answers begin at offset zero, below what the state remembers.
#[test]
fn a_results_topic_that_is_made_again_is_read_from_its_beginning() {
    let mut world = World::new("again");
    world.answer_timeout = "3s";
    world.more = "look_every = \"500ms\"".to_owned();
    let agent = world.start("a").ready();
    let participants = Participants::start(&world);
    let mut stories: Vec<(String, Story)> = (0..40).map(|n| (format!("old-{n}"), Story::Declined)).collect();
    play(&world, &stories, 100);
    compensated(&agent, &stories);
    participants.stop();
    // Commands are out while the topic is lost.
    let out: Vec<(String, Story)> = (0..12).map(|n| (format!("out-{n}"), Story::Declined)).collect();
    play(&world, &out, 100);
    out.iter().for_each(|(id, _)| drop(agent.chain(id, |picture| picture["state"] == "compensating")));
    let results = world.topic("results");
    delete_topic(&results);
    until("the agent to miss it", || agent.metric("countermand_unread_topics").filter(|now| *now == 1.0));
    // Not ready as soon as the group has shared out anew without it, and until then it says so, too.
    until("the agent to say so", || agent.get("/readyz").filter(|(_, body)| body.contains("own topic")));
    make_topics(&[&results]);
    unread(&agent, 0.0);
    // They get what is sent again, and answer it.
    let participants = Participants::start(&world);
    compensated(&agent, &out);
    stories.extend(out);
    assert!(agent.terminate().success());
    participants.stop();
}

/// Named as it is, not by a pattern: it is missed, and not a reason to stop.
#[test]
fn a_deleted_input_is_told_of_and_stops_nothing() {
    let mut world = World::new("deleted");
    let named = format!("{}.named", world.name);
    world.inputs.push(named.clone());
    world.more = "look_every = \"500ms\"".to_owned();
    make_topics(&[&named]);
    let agent = world.start("a").ready();
    let participants = Participants::start(&world);
    delete_topic(&named);
    assert!(unread(&agent, 1.0).contains("is gone"));
    let stories = declined(&["after-1", "after-2", "after-3"]);
    play(&world, &stories, 100);
    compensated(&agent, &stories);
    make_topics(&[&named]);
    unread(&agent, 0.0);
    let more = declined(&["back-1"]);
    say(&named, &more);
    compensated(&agent, &more);
    assert!(agent.terminate().success());
    assert_eq!(ids_of(participants.stop()), commands_of(&[stories, more].concat()));
}
