//! Steps to an engine: time passes, messages are read, commands are published, moments are compared.

use super::{
    compare::{Difference, compare},
    inputs::input,
    language::{Act, Block, Scenario, Step},
    ledger::Ledger,
    schedule::{EPOCH, Place, schedule},
};
use crate::{
    engine::Engine,
    model::{Action, ChainView, CommandAction, HostTime, Input, LaneId, Moment, Position, Published, Refusal, Span},
};

/// What a scenario is run against: the engine, or something that claims to decide like it. Methods are those of
/// [`Engine`].
pub trait Subject {
    /// The lane named `topic` and `partition`, made if it is new.
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId;
    /// Takes one input.
    fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>);
    /// Lets the host clock move, while the lanes in `at_end` are read to their end.
    fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>);
    /// The earliest host time at which [`Subject::advance`] would do something if every lane were at its end.
    fn next_due(&self) -> Option<HostTime>;
    /// The picture of a chain that is kept.
    fn view(&self, chain_id: &str) -> Option<ChainView>;
}

impl Subject for Engine {
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        Self::lane(self, topic, partition)
    }

    fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>) {
        // What is not saved is of no interest: a scenario does not restart.
        let _slot = Self::apply(self, input, moment, host, actions);
    }

    fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        Self::advance(self, host, at_end, actions);
    }

    fn next_due(&self) -> Option<HostTime> {
        Self::next_due(self)
    }

    fn view(&self, chain_id: &str) -> Option<ChainView> {
        Self::view(self, chain_id)
    }
}

/// Topic of all lanes of a scenario.
const TOPIC: &str = "scenario";

/// Moves of the clock between two steps, at most. An engine that wants more goes round in circles.
const MAX_MOVES: usize = 1_000_000;

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
        actions: Vec::new(),
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
    /// Actions of the call under way; empty between calls.
    actions: Vec<Action>,
}

impl<S: Subject> Driver<'_, S> {
    fn step(&mut self, n: usize, step: &Step, place: Place) {
        if step.lagging {
            // The clock moves, but nothing is read to its end.
            self.host = self.host.max(place.host);
            self.advance(&[]);
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
        self.subject.apply(&input, moment, self.host, &mut self.actions);
        let refusal = self.actions.iter().find_map(|action| match action {
            Action::Refused(refusal) => Some(*refusal),
            _ => None,
        });
        self.settle(moment);
        self.look(&step.chain);
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

    /// Moves the host clock to `target` with everything read to its end, from one due instant to the next, so that
    /// what is published at one has its clocks begin there.
    fn let_time_pass(&mut self, target: HostTime) {
        let target = target.max(self.host);
        let lanes: Vec<LaneId> = self.lanes.iter().map(|(_, lane)| *lane).collect();
        let mut stalled = false;
        for _ in 0..MAX_MOVES {
            let due = self.subject.next_due().filter(|_| !stalled).unwrap_or(target).clamp(self.host, target);
            let moved = due > self.host;
            self.host = due;
            let quiet = !self.advance(&lanes);
            if quiet && self.host == target {
                return;
            }
            stalled = quiet && !moved;
        }
        self.differences.push(Difference::failure("the engine does not come to rest"));
    }

    /// Says whether anything came of it.
    fn advance(&mut self, at_end: &[LaneId]) -> bool {
        self.subject.advance(self.host, at_end, &mut self.actions);
        let position = Position { lane: self.lanes[0].1, offset: 0 };
        self.settle(Moment { at: self.host.as_bus(), position })
    }

    /// Takes down what came of a call, and says of each command that it is on the bus, until nothing more comes.
    fn settle(&mut self, moment: Moment) -> bool {
        let mut any = false;
        while !self.actions.is_empty() {
            any = true;
            for action in std::mem::take(&mut self.actions) {
                self.ledger.note(&action);
                match &action {
                    Action::Command(command) => {
                        let (chain_id, command_id) = (&command.chain_id, &command.command_id);
                        let published = Input::Published(Published { chain_id, command_id });
                        self.subject.apply(&published, moment, self.host, &mut self.actions);
                        self.look(&command.chain_id);
                    }
                    Action::Change { chain_id, .. } => self.look(chain_id),
                    _ => {}
                }
            }
        }
        any
    }

    /// Takes the picture of a chain, if the subject still has it.
    fn look(&mut self, chain: &str) {
        if let Some(view) = self.subject.view(chain) {
            self.ledger.see(view);
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

/// Whether a step is about the agent as a whole: it has no chain.
fn is_for_the_agent(step: &Step) -> bool {
    use crate::model::Verb::{BrakeRelease, Pause, Resume};
    matches!(&step.act, Act::Operator { verb: Pause | Resume | BrakeRelease, .. })
}
