//! Order in and order out: the order of arrival before the verdict changes nothing (S1.1), and effects are undone in an
//! order without cycles (S5.1).

use countermand::{
    engine::Engine,
    model::{Action, ChainView, CommandAction, CommandView, HostTime, LaneId, Moment, PlanItemState, Position, Span},
    policy::{InFlight, Ordering, Policy},
    scenario::{EPOCH, Step, input},
};

use crate::{number, oracle::Oracle, rng::Rng, rules, shape::Shape};

/// Histories of each property.
const COUNT: u64 = 3_000;

const TOPIC: &str = "scenario";

/// A chain whose messages each have a partition of their own: nothing is decided before all are read.
fn chain(rng: &mut Rng) -> (Policy, Vec<Step>) {
    let mut policy = rules::policy(rng);
    policy.settings.in_flight = InFlight::Wait;
    policy.settings.own_undo_window = Span::ZERO;
    policy.settings.max_age = Span::hours(1);
    let mut steps = Shape::random(rng, "c", 1, 0, &policy).steps;
    for (partition, step) in (0..).zip(&mut steps) {
        step.partition = partition;
    }
    (policy, steps)
}

/// After reading these steps in this order, and then to the end of time-outs.
fn view(policy: &Policy, steps: &[Step]) -> Option<ChainView> {
    let mut engine = Engine::new(policy.clone());
    let lanes: Vec<LaneId> = (0..steps.len()).map(|lane| engine.lane(TOPIC, lane as i32)).collect();
    let last = steps.iter().map(|step| step.at).max()?;
    let host = EPOCH.plus(last).as_host();
    let mut actions = Vec::new();
    for step in steps {
        let input = input(step, "")?;
        let position = Position { lane: lanes[usize::from(step.partition)], offset: step.at.0 };
        engine.apply(&input, Moment { at: EPOCH.plus(step.at), position }, host, &mut actions);
    }
    assert!(!actions.iter().any(|action| matches!(action, Action::Command(_))), "decided before all was read");
    let end = HostTime(host.0 + 20_000);
    while let Some(due) = engine.next_due().filter(|due| *due <= end) {
        engine.advance(due, &lanes, &mut actions);
        if engine.view("c").is_some_and(|view| view.verdict.is_some()) {
            return engine.view("c");
        }
    }
    engine.advance(end, &lanes, &mut actions);
    engine.view("c")
}

#[test]
fn the_order_of_arrival_before_the_verdict_changes_nothing() {
    for seed in 0..COUNT {
        let mut rng = Rng::new(number("COUNTERMAND_SEED", 1) + seed);
        let (policy, mut steps) = chain(&mut rng);
        let first = view(&policy, &steps);
        rng.shuffle(&mut steps);
        let second = view(&policy, &steps);
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn effects_are_undone_in_an_order_without_cycles() {
    let mut ordered = 0;
    for seed in 0..COUNT {
        let mut rng = Rng::new(number("COUNTERMAND_SEED", 1) + seed);
        let (mut policy, steps) = chain(&mut rng);
        policy.settings.ordering = Ordering::Parallel;
        let Some(view) = view(&policy, &steps) else { continue };
        let oracle = heard(&policy, &steps);
        let placed = |item: &&CommandView| {
            item.wave > 0 && item.action != CommandAction::Retry && item.state != PlanItemState::Withdrawn
        };
        let items: Vec<&CommandView> = view.commands.iter().filter(placed).collect();
        for item in &items {
            let first = items.iter().filter(|other| oracle.undone_before("c", &other.call_id, &item.call_id));
            let wave = first.map(|other| other.wave).max().unwrap_or(0) + 1;
            assert_eq!(item.wave, wave, "seed {seed}: wave of {}", item.call_id);
            ordered += u32::from(wave > 1);
        }
    }
    assert!(ordered > 100, "hardly anything was ordered: {ordered}");
}

/// An oracle that heard all of it.
fn heard(policy: &Policy, steps: &[Step]) -> Oracle {
    let mut oracle = Oracle::new(policy.clone());
    let lanes: Vec<LaneId> = (0..steps.len()).map(|lane| oracle.lane(TOPIC, lane as i32)).collect();
    let last = steps.iter().map(|step| step.at).max().unwrap_or(Span::ZERO);
    let host = EPOCH.plus(last).as_host();
    for step in steps {
        let Some(input) = input(step, "") else { continue };
        let position = Position { lane: lanes[usize::from(step.partition)], offset: step.at.0 };
        oracle.apply(&input, Moment { at: EPOCH.plus(step.at), position }, host, &mut Vec::new());
    }
    oracle.advance(HostTime(host.0 + 20_000), &lanes, &mut Vec::new());
    oracle
}
