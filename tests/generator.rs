//! The generator's truth, known by construction, against what the engine finds (S2, S3, S4).

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    bench::{Profile, Settings, Traffic, Truth},
    engine::Engine,
    model::{Action, ChainView, CommandAction, HostTime, Input, Moment, Outcome, Position, Published},
    policy::{BrakeSettings, Mode, Policy},
    wire,
};

/// Decides all traffic of some settings, answering nothing; gives the last picture of each chain.
fn decide(settings: Settings) -> (Vec<Truth>, BTreeMap<String, ChainView>) {
    let mut policy = Policy::default();
    policy.settings.mode = Mode::Auto;
    policy.settings.act_on_incomplete = true;
    policy.settings.brake = BrakeSettings { per_edge: 0, overall: 0 };
    let mut engine = Engine::new(policy);
    let lanes: Vec<_> = (0..settings.partitions)
        .flat_map(|n| [("requests", n), ("responses", n)])
        .map(|(topic, n)| engine.lane(topic, i32::try_from(n).expect("a small number")))
        .collect();
    let limits = wire::WireLimits::default();
    let (mut truths, mut views, mut offset) = (Vec::new(), BTreeMap::new(), 0);
    let mut take = |engine: &mut Engine, actions: Vec<Action>, host: HostTime| {
        for action in actions {
            match action {
                Action::View(view) => {
                    views.insert(view.chain_id.clone(), *view);
                }
                Action::Command(command) => {
                    let published = Published { chain_id: &command.chain_id, command_id: &command.command_id };
                    let nowhere = Moment { at: host.as_bus(), position: Position { lane: lanes[0], offset: 0 } };
                    engine.apply(&Input::Published(published), nowhere, host, &mut Vec::new());
                }
                _ => {}
            }
        }
    };
    let mut traffic = Traffic::new(settings);
    let mut host = HostTime(settings.begins.0);
    while let Some(timed) = traffic.next() {
        truths.extend(traffic.take_truths());
        let mut actions = Vec::new();
        // What is read is read at the end of its partition: the clock is never behind a message.
        host = host.max(timed.at.as_host());
        engine.advance(host, &lanes, &mut actions);
        let lane = lanes[usize::try_from(timed.partition * 2 + u32::from(timed.response)).expect("a small number")];
        let moment = Moment { at: timed.at, position: Position { lane, offset } };
        let message = wire::message(&timed.envelope, &limits).expect("generated envelopes are valid");
        engine.apply(&Input::Message(message), moment, host, &mut actions);
        take(&mut engine, actions, host);
        offset += 1;
    }
    let mut actions = Vec::new();
    engine.advance(HostTime(host.0 + 120_000), &lanes, &mut actions);
    take(&mut engine, actions, host);
    (truths, views)
}

fn agree(truth: &Truth, view: &ChainView) -> Result<(), String> {
    let verdict = view.verdict.as_ref().ok_or("not decided")?;
    let undo: BTreeSet<&str> = view
        .commands
        .iter()
        .filter(|command| command.action == CommandAction::Undo)
        .map(|command| command.call_id.as_str())
        .collect();
    let failing = verdict.failing.as_ref().map(|failure| failure.call_id.clone());
    let found = (verdict.outcome.word(), failing, verdict.cause.map(|cause| cause.word()), verdict.incomplete);
    let expected = (truth.outcome, truth.failing.clone(), truth.cause, truth.incomplete);
    if found != expected {
        return Err(format!("found {found:?}, true is {expected:?}: {}", verdict.sentence));
    }
    let expected: BTreeSet<&str> = truth.undo.iter().map(String::as_str).collect();
    if undo != expected {
        return Err(format!("undoes {undo:?}, should undo {expected:?}"));
    }
    Ok(())
}

fn all_agree(settings: Settings) -> Vec<Truth> {
    let (truths, views) = decide(settings);
    let wrong: Vec<String> = truths
        .iter()
        .filter_map(|truth| match views.get(&truth.chain_id) {
            Some(view) => agree(truth, view).err().map(|why| format!("{}: {why}", truth.chain_id)),
            None => Some(format!("{} was never seen", truth.chain_id)),
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} wrong, the first:\n{}",
        wrong.len(),
        truths.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
    truths
}

#[test]
fn shapes_of_real_systems_are_judged_as_they_were_made() {
    let truths = all_agree(Settings::of(Profile::Mixed, 4_000, 7));
    let count = |is: &dyn Fn(&Truth) -> bool| truths.iter().filter(|truth| is(truth)).count();
    // The profile has what it promises, else agreeing would be cheap.
    assert!(count(&|truth| truth.outcome == Outcome::Failed.word()) > 200);
    assert!(count(&|truth| truth.cause == Some("no_response")) > 20);
    assert!(count(&|truth| truth.outcome == "succeeded" && !truth.undo.is_empty()) > 10);
    assert!(count(&|truth| truth.undo.len() > 1) > 50);
    assert!(count(&|truth| truth.incomplete) > 5);
}

#[test]
fn the_standard_load_and_the_shop_are_judged_as_they_were_made() {
    let truths = all_agree(Settings::of(Profile::Standard, 4_000, 3));
    let failed = truths.iter().filter(|truth| truth.outcome == "failed").count();
    assert!((20..80).contains(&failed), "1 % of 4,000 fail, not {failed}");
    all_agree(Settings::of(Profile::Shop, 400, 11));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let messages = |seed| Traffic::new(Settings::of(Profile::Mixed, 50, seed)).collect::<Vec<_>>();
    assert_eq!(messages(5), messages(5));
    assert_ne!(messages(5), messages(6));
    let sizes: BTreeSet<usize> = Traffic::new(Settings::of(Profile::Standard, 50, 1))
        .map(|timed| prost::Message::encoded_len(&timed.envelope))
        .collect();
    assert!(sizes.iter().all(|size| (488..=492).contains(size)), "{sizes:?}");
}
