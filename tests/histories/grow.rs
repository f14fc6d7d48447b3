//! A history grows while both are run: how messages are read, how participants and operators answer what is out.

use std::collections::BTreeMap;

use countermand::{
    model::{CommandAction, HostTime, PlanItemState, PlanState, ResultState, Span, StatusCode, Verb},
    policy::Policy,
    scenario::{Act, EPOCH, Step},
};

use crate::{
    pair::{Pair, Told},
    rng::Rng,
    rules,
    shape::{Real, Shape, any_code},
};

/// A history that was run, and where the two differed first.
pub struct History {
    pub seed: u64,
    pub policy: Policy,
    pub lanes: u16,
    pub told: Vec<Told>,
    pub failure: Option<String>,
}

/// Runs the history of a seed.
pub fn history(seed: u64) -> History {
    let mut rng = Rng::new(seed);
    let policy = rules::policy(&mut rng);
    let lanes = rng.pick(&[1, 1, 2, 3]);
    let restores = rng.percent(25);
    // Late reading stands for another topic: with restores every message keeps its place in its own partition.
    let all_lanes = if restores { lanes + 3 } else { lanes };
    let names: &[&str] = if rng.percent(15) { &["c", "d"] } else { &["c"] };
    let mut shapes = Vec::new();
    for name in names {
        let start = rng.below(100);
        shapes.push(Shape::random(&mut rng, name, lanes, start, &policy));
    }
    let pair = Pair::new(&policy, all_lanes);
    let mut grow =
        Grow { rng, pair, shapes, told: Vec::new(), now: 0, restores, lanes: all_lanes, tops: BTreeMap::new() };
    let failure = grow.run().err();
    History { seed, policy, lanes: all_lanes, told: grow.told, failure }
}

struct Grow {
    rng: Rng,
    pair: Pair,
    shapes: Vec<Shape>,
    told: Vec<Told>,
    /// Host time since the start.
    now: u64,
    restores: bool,
    lanes: u16,
    /// Highest bus time read on each lane.
    tops: BTreeMap<u16, u64>,
}

impl Grow {
    fn run(&mut self) -> Result<(), String> {
        self.read_messages()?;
        self.now += self.rng.weighted(&[(5, 210), (2, 1300), (1, 50), (1, 4000)]);
        self.wait()?;
        let more = self.rng.weighted(&[(2, 0), (3, 2), (4, 4), (3, 7), (2, 12)]);
        for _ in 0..more {
            self.now += self.rng.weighted(&[(8, 20), (6, 150), (4, 1000), (3, 6000), (1, 40_000), (1, 400_000)]);
            self.react()?;
        }
        self.now += self.rng.pick(&[1, 1000, 30_000, 3_700_000]);
        self.wait()
    }

    /// Live, all in a backlog in any order, or some of both.
    fn read_messages(&mut self) -> Result<(), String> {
        let mut steps: Vec<Step> = self.shapes.iter_mut().flat_map(|shape| std::mem::take(&mut shape.steps)).collect();
        steps.sort_by_key(|step| step.at);
        let lag_from = match self.rng.below(100) {
            0..45 => steps.len(),
            45..85 => 0,
            _ => self.rng.index(steps.len() + 1),
        };
        let backlog = steps.split_off(lag_from);
        self.delay_some(&mut steps);
        for step in steps {
            self.now = self.now.max(step.at.0);
            self.tell(step)?;
        }
        self.lag(backlog)
    }

    fn delay_some(&mut self, steps: &mut [Step]) {
        for n in 0..steps.len().saturating_sub(1) {
            if self.rng.percent(6) {
                let to = (n + self.rng.index(5)).min(steps.len() - 1);
                steps[n..=to].rotate_left(1);
            }
        }
    }

    fn lag(&mut self, mut backlog: Vec<Step>) -> Result<(), String> {
        if backlog.is_empty() {
            return Ok(());
        }
        match self.rng.below(3) {
            2 => self.rng.shuffle(&mut backlog),
            1 => self.delay_some(&mut backlog),
            _ => {}
        }
        let last = backlog.iter().map(|step| step.at.0).max().unwrap_or(0);
        let ahead = self.rng.pick(&[0, 30, 1000, 5000, 100_000]);
        self.now = self.now.max(last) + ahead;
        for mut step in backlog {
            step.lagging = true;
            self.tell(step)?;
        }
        self.wait()
    }

    fn wait(&mut self) -> Result<(), String> {
        let step = Step {
            at: Span(self.now),
            lagging: false,
            partition: 0,
            chain: "c".into(),
            id: "wait".into(),
            refused: None,
            act: Act::Wait,
        };
        self.tell(step)
    }

    fn tell(&mut self, mut step: Step) -> Result<(), String> {
        if self.restores && step.is_message() {
            let fits = |lane: &u16| self.tops.get(lane).is_none_or(|top| *top <= step.at.0);
            let Some(lane) = std::iter::once(step.partition).chain(0..self.lanes).find(fits) else { return Ok(()) };
            step.partition = lane;
            self.tops.insert(lane, step.at.0);
        }
        if step.is_message() && self.pair.oracle.may_be_forgotten(&step.chain, EPOCH.plus(Span(self.now))) {
            return Ok(());
        }
        let restore = self.restores && self.rng.percent(12);
        let look = self.rng.percent(40) || !step.is_message();
        let told = Told { step, restore };
        self.told.push(told.clone());
        let host = HostTime(EPOCH.0 + i64::try_from(self.now).expect("a short time"));
        self.pair.read(&told, host, look)
    }

    /// What somebody does once there is a verdict, or before.
    fn react(&mut self) -> Result<(), String> {
        let shape = self.rng.index(self.shapes.len());
        let out = self.outstanding(shape);
        let late = self.rng.percent(12);
        let act = match self.rng.below(100) {
            0..60 if !out.is_empty() => Some(self.result(&out)),
            60..75 => self.operator(shape),
            75..96 => self.late_message(shape),
            _ => None,
        };
        self.wait()?;
        let Some((at, act)) = act else { return Ok(()) };
        let shape = &mut self.shapes[shape];
        shape.say(&mut self.rng, at.unwrap_or(self.now), act);
        let mut step = shape.steps.pop().expect("it was just said");
        step.at = Span(at.unwrap_or(self.now));
        if late {
            return self.lag(vec![step]);
        }
        self.tell(step)
    }

    fn outstanding(&self, shape: usize) -> Vec<(String, CommandAction, PlanItemState)> {
        let Some(view) = self.pair.oracle.view(&self.shapes[shape].chain) else { return Vec::new() };
        let out = |state| matches!(state, PlanItemState::Sent | PlanItemState::Backoff | PlanItemState::Stuck);
        let mut all: Vec<_> =
            view.commands.iter().map(|item| (item.call_id.clone(), item.action, item.state)).collect();
        if all.iter().any(|(_, _, state)| out(*state)) {
            all.retain(|(_, _, state)| out(*state));
        } else {
            all.retain(|_| view.commands.len() > 2);
        }
        all
    }

    fn result(&mut self, out: &[(String, CommandAction, PlanItemState)]) -> (Option<u64>, Act) {
        use ResultState::{Absent, Applied, Done, Failed, NotNeeded, Ongoing, Retryable, Unknown};
        let (call, action, at) = out[self.rng.index(out.len())].clone();
        let again = at != PlanItemState::Backoff;
        let state = if action == CommandAction::Inquire {
            self.rng.weighted(&[(6, Applied), (5, Absent), (4, Unknown), (1, Retryable), (1, Ongoing), (1, Failed)])
        } else {
            self.rng.weighted(&[(11, Done), (4, NotNeeded), (1, Ongoing), (2, Retryable), (2, Failed)])
        };
        // Another failure during a backoff may or may not prolong it.
        let state = if !again && matches!(state, Retryable | Unknown) { Ongoing } else { state };
        let earlier = self.rng.percent(10).then(|| self.now.saturating_sub(self.rng.below(2000)));
        (earlier, Act::Result { call, action, command_id: None, state })
    }

    fn operator(&mut self, shape: usize) -> Option<(Option<u64>, Act)> {
        use Verb::{Approve, Confirm, GiveUp, MarkDone, Reject, Retry, Skip};
        let view = self.pair.oracle.view(&self.shapes[shape].chain)?;
        let needs: Vec<_> = view
            .commands
            .iter()
            .filter(|item| {
                matches!(item.state, PlanItemState::Held | PlanItemState::Stuck | PlanItemState::Uncompensatable)
            })
            .collect();
        let any = self.rng.percent(10);
        let verb = match view.state {
            _ if any => self.rng.pick(&[Approve, Reject, Retry, Skip, MarkDone, Confirm, GiveUp]),
            PlanState::AwaitingApproval => self.rng.weighted(&[(6, Approve), (1, Reject), (1, Skip)]),
            PlanState::NeedsOperator => {
                self.rng.weighted(&[(3, Retry), (3, Skip), (3, MarkDone), (3, Confirm), (1, GiveUp)])
            }
            _ => return None,
        };
        let about_all = matches!(verb, Approve | Reject | GiveUp);
        let call = match () {
            () if about_all => String::new(),
            () if !needs.is_empty() && !any => needs[self.rng.index(needs.len())].call_id.clone(),
            () => view.commands.get(self.rng.index(view.commands.len().max(1)))?.call_id.clone(),
        };
        Some((None, Act::Operator { verb, call }))
    }

    fn late_message(&mut self, shape: usize) -> Option<(Option<u64>, Act)> {
        let rng = &mut self.rng;
        let shape = &mut self.shapes[shape];
        let index = shape.calls.len();
        if rng.percent(30) && index < 14 {
            let root = rng.percent(15);
            let parent = if root { None } else { Some(rng.index(index)) };
            let mut request = shape.request(rng, index, parent.filter(|parent| shape.depth(*parent) < 5));
            if rng.percent(25) {
                request.compensates = shape.calls[rng.index(index)].request.call.clone();
                request.retry_of.clear();
                request.timeout = Some(Span(1000));
            } else if rng.percent(15) {
                request.retry_of.clear();
                request.during = shape.calls[rng.index(index)].request.call.clone();
            }
            let real = Real {
                request: request.clone(),
                event: false,
                parent,
                begin: self.now,
                end: self.now,
                code: None,
                reason: "L".into(),
            };
            shape.calls.push(real);
            return Some((None, Act::Request(request)));
        }
        let unanswered: Vec<usize> = (0..index).filter(|call| shape.calls[*call].code.is_none()).collect();
        let call = if unanswered.is_empty() || rng.percent(40) { rng.index(index) } else { rng.pick(&unanswered) };
        let real = shape.calls[call].clone();
        if real.event {
            return None;
        }
        let code = if rng.percent(50) { StatusCode::Ok } else { any_code(rng) };
        let at = if rng.percent(25) { real.end } else { self.now };
        shape.calls[call].code = Some(code);
        shape.answer(rng, &real, code, at);
        let step = shape.steps.pop()?;
        Some((Some(at), step.act))
    }
}
