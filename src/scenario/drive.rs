//! Steps to an engine: time passes, messages are read, commands are published, moments are compared.

use super::{
    Subject,
    clock::run_until,
    compare::{Difference, compare},
    inputs::input,
    language::{Act, Block, Scenario, Step},
    ledger::Ledger,
    schedule::{EPOCH, Place, schedule},
};
use crate::model::{Action, CommandAction, HostTime, Input, LaneId, Moment, Position, Published, Refusal, Span};

/// Topic of all lanes of a scenario.
const TOPIC: &str = "scenario";

/// What came of a scenario.
#[derive(Debug)]
pub struct Report {
    /// Where it is not as expected.
    pub differences: Vec<Difference>,
    /// Everything that came.
    pub ledger: Ledger,
}

impl Report {
    /// Whether all is as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs a scenario against a fresh subject that decides by [`Scenario::policy`].
pub fn run(scenario: &Scenario, subject: &mut impl Subject) -> Report {
    let mut moments: Vec<&Block> = scenario.expect.iter().filter(|block| block.at.is_some()).collect();
    moments.sort_by_key(|block| block.at);
    let mut driver = Driver {
        lanes: lanes(scenario, subject),
        subject,
        host: EPOCH.as_host(),
        ledger: Ledger::default(),
        differences: Vec::new(),
    };
    let mut moments = moments.into_iter().peekable();
    for (n, (step, place)) in scenario.steps.iter().zip(schedule(&scenario.steps, max_ahead(scenario))).enumerate() {
        while let Some(block) = moments.next_if(|block| block.at.is_some_and(|at| EPOCH.plus(at) < place.at)) {
            driver.moment(block, step.lagging);
        }
        driver.step(n, step, place);
    }
    let lags = scenario.steps.last().is_some_and(|step| step.lagging);
    for block in moments {
        driver.moment(block, lags);
    }
    for block in scenario.expect.iter().filter(|block| block.at.is_none()) {
        driver.compare(block);
    }
    Report { differences: driver.differences, ledger: driver.ledger }
}

fn max_ahead(scenario: &Scenario) -> Span {
    scenario.policy.settings.max_ahead
}

/// All lanes, made before the first step; there is at least that of partition 0.
fn lanes(scenario: &Scenario, subject: &mut impl Subject) -> Vec<(u16, LaneId)> {
    let mut partitions: Vec<u16> = scenario.steps.iter().map(|step| step.partition).chain([0]).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions.into_iter().map(|partition| (partition, subject.lane(TOPIC, i32::from(partition)))).collect()
}

struct Driver<'a, S> {
    subject: &'a mut S,
    lanes: Vec<(u16, LaneId)>,
    host: HostTime,
    ledger: Ledger,
    differences: Vec<Difference>,
}

impl<S: Subject> Driver<'_, S> {
    fn step(&mut self, n: usize, step: &Step, place: Place) {
        if step.lagging {
            // The clock moves, but nothing is read to its end.
            self.host = self.host.max(place.host);
            let mut actions = Vec::new();
            self.subject.advance(self.host, &[], &mut actions);
            let moment = self.between();
            settle(self.subject, &mut self.ledger, moment, self.host, actions);
        } else {
            self.let_time_pass(place.host);
        }
        if step.is_message() && step.chain.is_empty() && !is_for_the_agent(step) {
            self.ledger.dropped += 1;
            return;
        }
        let command_id = self.command_id(step);
        let Some(input) = input(step, &command_id) else { return };
        let lane = self.lanes.iter().find(|(partition, _)| *partition == step.partition).map(|(_, lane)| *lane);
        let Some(lane) = lane else { return };
        let moment = Moment { at: place.at, position: Position { lane, offset: place.offset } };
        let mut actions = Vec::new();
        self.subject.apply(&input, moment, self.host, &mut actions);
        let refusal = actions.iter().find_map(|action| match action {
            Action::Refused(refusal) => Some(*refusal),
            _ => None,
        });
        settle(self.subject, &mut self.ledger, moment, self.host, actions);
        look(self.subject, &mut self.ledger, &step.chain);
        self.check_refusal(n, step, refusal);
    }

    /// The command that a step answers, or during whose handling its call was made.
    fn command_id(&self, step: &Step) -> String {
        match &step.act {
            Act::Result { command_id: Some(id), .. } => id.clone(),
            Act::Result { call, action, .. } => self.ledger.command_id(&step.chain, call, *action),
            Act::Request(request) | Act::Event(request) if !request.during.is_empty() => {
                self.ledger.command_id(&step.chain, &request.during, CommandAction::Undo)
            }
            _ => String::new(),
        }
    }

    /// The moment of what is published between two messages.
    fn between(&self) -> Moment {
        Moment { at: self.host.as_bus(), position: Position { lane: self.lanes[0].1, offset: 0 } }
    }

    fn let_time_pass(&mut self, target: HostTime) {
        let lanes: Vec<LaneId> = self.lanes.iter().map(|(_, lane)| *lane).collect();
        let position = self.between().position;
        let ledger = &mut self.ledger;
        let settle = |subject: &mut S, host: HostTime, actions: Vec<Action>| {
            settle(subject, ledger, Moment { at: host.as_bus(), position }, host, actions);
        };
        if run_until(self.subject, &mut self.host, target, &lanes, settle).is_err() {
            self.differences.push(Difference::failure("the engine does not come to rest"));
        }
    }

    fn moment(&mut self, block: &Block, lagging: bool) {
        if let Some(at) = block.at.filter(|_| !lagging) {
            self.let_time_pass(EPOCH.plus(at).as_host());
        }
        self.compare(block);
    }

    fn compare(&mut self, block: &Block) {
        self.differences.extend(compare(block, &self.ledger));
    }

    fn check_refusal(&mut self, n: usize, step: &Step, refusal: Option<Refusal>) {
        let Some(expected) = step.refused else { return };
        if expected != refusal.is_some() {
            let word = |refused: bool| if refused { "refused" } else { "accepted" };
            let came = refusal.map_or("accepted".to_owned(), |refusal| format!("refused: {}", refusal.word()));
            self.differences.push(Difference {
                at: Some(step.at),
                what: format!("step {}", n + 1),
                expected: Some(word(expected).to_owned()),
                came: Some(came),
            });
        }
    }
}

/// Takes down what came of a call, and says of each command that it is on the bus, until nothing more comes.
fn settle(subject: &mut impl Subject, ledger: &mut Ledger, moment: Moment, host: HostTime, mut actions: Vec<Action>) {
    while !actions.is_empty() {
        let mut more = Vec::new();
        for action in &actions {
            ledger.note(action);
            match action {
                Action::Command(command) => {
                    let (chain_id, command_id) = (&command.chain_id, &command.command_id);
                    let published = Input::Published(Published { chain_id, command_id });
                    subject.apply(&published, moment, host, &mut more);
                    look(subject, ledger, chain_id);
                }
                Action::Change { chain_id, .. } => look(subject, ledger, chain_id),
                _ => {}
            }
        }
        actions = more;
    }
}

/// Takes the picture of a chain, if the subject still has it.
fn look(subject: &impl Subject, ledger: &mut Ledger, chain: &str) {
    if let Some(view) = subject.view(chain) {
        ledger.see(view);
    }
}

/// Whether a step is about the agent as a whole: it has no chain.
fn is_for_the_agent(step: &Step) -> bool {
    matches!(&step.act, Act::Operator { verb, .. } if verb.is_for_all())
}
