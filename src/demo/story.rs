//! What the demo tells on the terminal: it reads what the agent publishes, as anybody could.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use prost::Message as _;

use super::order::prefix;
use crate::{
    model::{Certainty, ChainView, HostTime, Outcome, PlanItemState, PlanState, Span},
    render::{Look, Sign, Tone, wrap},
    wire::{
        self,
        proto::{ChainEvent, ChainEventKind, ChainRecord},
    },
};

/// Columns that sentences are wrapped at.
const WIDTH: usize = 100;

/// Time between two lines that sum up.
const SUM_UP: Span = Span::secs(5);

/// The teller.
pub struct Story {
    look: Look,
    /// What the agent's events are called.
    events: String,
    /// What the ids of the chains of this run begin with.
    prefix: String,
    begun: HostTime,
    summed_up: HostTime,
    chains: BTreeMap<String, Told>,
    edges: BTreeMap<String, u32>,
    /// Failures at each service and version.
    versions: BTreeMap<(String, String), u32>,
}

/// What was told of a failed chain.
#[derive(Debug, Default)]
struct Told {
    in_full: bool,
    state: Option<PlanState>,
    answered: usize,
}

/// Chains that failed, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that failed.
    pub failed: usize,
    /// Of these, everything was taken back, or the agent only watches.
    pub settled: usize,
    /// Of these, those that wait for an approval.
    pub waiting: usize,
    /// Of these, those that need a human.
    pub stuck: usize,
}

impl Story {
    /// A story that begins now.
    #[must_use]
    pub fn new(look: Look, events: &str, run: &str, begun: HostTime) -> Self {
        Self {
            look,
            events: events.to_owned(),
            prefix: prefix(run),
            begun,
            summed_up: begun,
            chains: BTreeMap::new(),
            edges: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    /// A line at a time.
    #[must_use]
    pub fn line(&self, now: HostTime, text: &str) -> String {
        let millis = now.since(self.begun).0;
        let clock = format!("{:>2}:{:02}.{}", millis / 60_000, millis / 1000 % 60, millis / 100 % 10);
        format!("{}  {text}\n", self.look.paint(Tone::Dim, &clock))
    }

    /// Failures that began at a service in a version, so far.
    #[must_use]
    pub fn failures_at(&self, service: &str, version: &str) -> u32 {
        self.versions.get(&(service.to_owned(), version.to_owned())).copied().unwrap_or(0)
    }

    /// What became of the chains that failed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let is = |state: PlanState| self.chains.values().filter(move |told| told.state == Some(state)).count();
        Counts {
            failed: self.chains.len(),
            settled: is(PlanState::Compensated)
                + is(PlanState::None)
                + is(PlanState::Completed)
                + is(PlanState::Observed),
            waiting: is(PlanState::AwaitingApproval),
            stuck: is(PlanState::NeedsOperator),
        }
    }

    /// The failed chains that are neither settled nor wait for anybody.
    pub fn under_way(&self) -> impl Iterator<Item = &str> {
        let is_over = |state: PlanState| {
            use PlanState::{AwaitingApproval, Compensated, Completed, NeedsOperator, None, Observed};
            matches!(state, Compensated | None | Completed | Observed | AwaitingApproval | NeedsOperator)
        };
        let open = self.chains.iter().filter(move |(_, told)| !told.state.is_some_and(is_over));
        open.map(|(chain, _)| chain.as_str())
    }

    /// What a record of the agent's `chains` or `events` has to tell.
    pub fn hear(&mut self, topic: &str, payload: Bytes, now: HostTime) -> String {
        if topic == self.events {
            return ChainEvent::decode(payload).map(|event| self.event(&event, now)).unwrap_or_default();
        }
        let view = ChainRecord::decode(payload).ok().and_then(|record| wire::chain_view(&record));
        view.filter(|view| view.chain_id.starts_with(&self.prefix))
            .map(|view| self.view(&view, now))
            .unwrap_or_default()
    }

    fn event(&self, event: &ChainEvent, now: HostTime) -> String {
        match event.kind() {
            ChainEventKind::BrakeEngaged => self.line(now, "the storm brake holds further plans"),
            ChainEventKind::Operator => {
                let text = format!("{}: an operator ({}) acts", event.chain_id, event.by);
                self.line(now, &text)
            }
            _ => String::new(),
        }
    }

    fn view(&mut self, view: &ChainView, now: HostTime) -> String {
        let Some(verdict) = view.verdict.as_ref().filter(|verdict| verdict.outcome == Outcome::Failed) else {
            return String::new();
        };
        // The first chain that fails at an edge in its way is told in every step, the others in a line.
        let in_full = !self.edges.contains_key(&self.edge(view));
        let is_new = !self.chains.contains_key(&view.chain_id);
        let mut out = String::new();
        if is_new {
            self.chains.insert(view.chain_id.clone(), Told { in_full, ..Told::default() });
            out.push_str(&self.failed(view, in_full, now));
            if let Some(edge) = &verdict.failing {
                *self.edges.entry(self.edge(view)).or_default() += 1;
                let version = (edge.callee.clone(), verdict.failing_version.clone());
                *self.versions.entry(version).or_default() += 1;
            }
        }
        let answered = view.commands.iter().filter(|command| is_answered(command.state)).count();
        let Some(told) = self.chains.get(&view.chain_id) else { return out };
        let (in_full, before, had) = (told.in_full, told.state, told.answered);
        if in_full && answered > had {
            for command in view.commands.iter().filter(|command| is_answered(command.state)).skip(had) {
                let sign = self.look.paint(Tone::Good, self.look.sign(Sign::Good));
                let text = format!(
                    "  {sign} {}: {} {} answers {}",
                    view.chain_id,
                    command.service,
                    command.operation,
                    command.state.word()
                );
                out.push_str(&self.line(now, &text));
            }
        }
        if before != Some(view.state) {
            out.push_str(&self.state(view, in_full || view.state == PlanState::NeedsOperator, now));
        }
        if let Some(told) = self.chains.get_mut(&view.chain_id) {
            told.state = Some(view.state);
            told.answered = answered;
        }
        out
    }

    /// `caller → callee@version operation`.
    fn edge(&self, view: &ChainView) -> String {
        let Some(verdict) = &view.verdict else { return String::new() };
        let Some(edge) = &verdict.failing else { return String::new() };
        let version =
            if verdict.failing_version.is_empty() { String::new() } else { format!("@{}", verdict.failing_version) };
        format!("{} {} {}{version} {}", edge.caller, self.look.sign(Sign::Arrow), edge.callee, edge.operation)
    }

    fn failed(&self, view: &ChainView, in_full: bool, now: HostTime) -> String {
        let Some(verdict) = &view.verdict else { return String::new() };
        let reason = verdict.failing.as_ref().map_or("", |edge| edge.reason.as_str());
        let cause = verdict.cause.map_or("", |cause| cause.word());
        let why = [cause, reason].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let sign = self.look.paint(Tone::Bad, self.look.sign(Sign::Bad));
        let text =
            format!("{sign} {} failed at {}: {why}", view.chain_id, self.look.paint(Tone::Strong, &self.edge(view)));
        if !in_full {
            let undone: Vec<&str> = view.commands.iter().map(|command| command.operation.as_str()).collect();
            let plan = if undone.is_empty() { String::new() } else { format!("; takes back: {}", undone.join(", ")) };
            return self.line(now, &(text + &plan));
        }
        let mut out = self.line(now, &text);
        out.push_str(&wrap(&verdict.sentence, 13, WIDTH));
        if !out.ends_with('\n') {
            out.push('\n');
        }
        for command in &view.commands {
            let certainty = if command.certainty == Certainty::InDoubt { ", in case it happened" } else { "" };
            let _ = writeln!(
                out,
                "             wave {}: {} {} {}{certainty}",
                command.wave,
                command.action.word(),
                command.service,
                command.operation
            );
        }
        out
    }

    fn state(&self, view: &ChainView, loud: bool, now: HostTime) -> String {
        let count = view.commands.len();
        match view.state {
            PlanState::Compensated if loud => {
                let sign = self.look.paint(Tone::Good, self.look.sign(Sign::Good));
                self.line(now, &format!("  {sign} {}: compensated, taken back: {count}", view.chain_id))
            }
            PlanState::AwaitingApproval if loud => {
                let word = self.look.paint(Tone::Warn, "waits for approval");
                self.line(now, &format!("  {} {word}", view.chain_id))
            }
            PlanState::NeedsOperator => {
                let reasons: Vec<&str> = view.waits.iter().map(|wait| wait.word()).collect();
                let word = self.look.paint(Tone::Warn, "needs an operator");
                self.line(now, &format!("  {} {word}: {}", view.chain_id, reasons.join(", ")))
            }
            _ => String::new(),
        }
    }

    /// A line that sums up, when it is time for one.
    pub fn sum_up(&mut self, orders: u32, delivered: u32, now: HostTime) -> String {
        if now.since(self.summed_up) < SUM_UP {
            return String::new();
        }
        self.summed_up = now;
        let Counts { failed, settled, waiting, stuck } = self.counts();
        let mut text = format!("{orders} orders, {delivered} delivered, {failed} failed");
        if failed > 0 {
            let _ = write!(text, " ({settled} settled");
            if failed > settled + waiting + stuck {
                let _ = write!(text, ", {} under way", failed - settled - waiting - stuck);
            }
            if waiting > 0 {
                let _ = write!(text, ", {waiting} wait for approval");
            }
            if stuck > 0 {
                let _ = write!(text, ", {stuck} need an operator");
            }
            text.push(')');
        }
        let worst = self.edges.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > 1);
        if let Some((edge, count)) = worst {
            let _ = write!(text, "; {count} of them at {edge}");
        }
        self.line(now, &self.look.paint(Tone::Dim, &text))
    }
}

fn is_answered(state: PlanItemState) -> bool {
    matches!(state, PlanItemState::Done | PlanItemState::NotNeeded)
}
