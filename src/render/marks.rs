//! What is said beside a call of a picture: how it ended, its part in the verdict, its effect.

use std::collections::{HashMap, HashSet};

use super::{
    look::{Look, Sign, Tone, safe},
    time::short,
};
use crate::model::{CallEnd, CallView, ChainView, CommandAction, CommandView, EffectState, PlanItemState, StatusCode};

/// Columns of a reason.
const MAX_REASON: usize = 32;

/// Something said beside a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How it is meant.
    pub tone: Tone,
    /// The text.
    pub text: String,
}

/// The part of each call in the verdict.
#[derive(Debug)]
pub struct Marks<'a> {
    failing: Option<&'a str>,
    path: HashSet<&'a str>,
    parts: HashMap<&'a str, &'static str>,
    undone: HashSet<&'a str>,
    kept: HashSet<&'a str>,
    /// Every call is named like its operation: the names need not be shown twice.
    pub ids_repeat: bool,
}

impl<'a> Marks<'a> {
    /// The marks of a picture.
    #[must_use]
    pub fn of(view: &'a ChainView) -> Self {
        let mut parts = HashMap::new();
        let mut path = HashSet::new();
        let mut failing = None;
        if let Some(verdict) = &view.verdict {
            failing = verdict.failing.as_ref().map(|edge| edge.call_id.as_str());
            path.extend(verdict.path.iter().map(String::as_str));
            let lists = [
                (&verdict.contributing, "contributing"),
                (&verdict.runners_up, "runner-up"),
                (&verdict.tolerated, "tolerated"),
            ];
            for (failures, part) in lists {
                parts.extend(failures.iter().map(|failure| (failure.call_id.as_str(), part)));
            }
        }
        let ids_repeat = !view.calls.is_empty() && view.calls.iter().all(|call| call.call_id == call.operation);
        let calls = |is: fn(&CommandView) -> bool| {
            view.commands.iter().filter(|item| is(item)).map(|item| item.call_id.as_str()).collect()
        };
        Self { failing, path, parts, undone: calls(is_undone), kept: calls(is_kept), ids_repeat }
    }

    /// Whether a call is on the way from the root to the failing edge.
    #[must_use]
    pub fn on_path(&self, call: &str) -> bool {
        self.path.contains(call)
    }

    /// The part of a call in the verdict in a word, if it has one.
    #[must_use]
    pub fn part(&self, call: &str) -> Option<&'static str> {
        if self.failing == Some(call) { Some("failing edge") } else { self.parts.get(call).copied() }
    }

    /// What is said beside a call, most important first.
    #[must_use]
    pub fn notes(&self, call: &CallView, look: Look) -> Vec<Note> {
        let mut notes = vec![ending(call, look)];
        let mut say = |tone, text: String| notes.push(Note { tone, text });
        match self.part(&call.call_id) {
            Some(_) if self.failing == Some(call.call_id.as_str()) => say(Tone::Bad, look.sign(Sign::Here).to_owned()),
            Some(part) => say(Tone::Warn, part.to_owned()),
            None => {}
        }
        if let Some((code, at)) = call.late {
            let after = call.began_at.map(|began| format!(" after {}", short(at.since(began)))).unwrap_or_default();
            say(Tone::Warn, format!("late {}{after}", word(code)));
        }
        // What the agent had undone is undone too, whatever the services said (S4.2).
        let undone = self.undone.contains(call.call_id.as_str());
        let kept = self.kept.contains(call.call_id.as_str());
        match call.effect {
            _ if !call.has_effect => {}
            EffectState::Undone => say(Tone::Good, "effect undone".to_owned()),
            EffectState::Applied if undone => say(Tone::Good, "effect undone".to_owned()),
            EffectState::Applied if kept => say(Tone::Plain, "effect kept".to_owned()),
            EffectState::Applied if call.voided => say(Tone::Warn, "effect to undo".to_owned()),
            EffectState::Applied => say(Tone::Plain, "effect applied".to_owned()),
            EffectState::InDoubt if undone => say(Tone::Good, "effect cleared".to_owned()),
            EffectState::InDoubt => say(Tone::Warn, "effect in doubt".to_owned()),
            EffectState::None => {}
        }
        for (relation, other) in [("retries", &call.retry_of), ("undoes", &call.compensates)] {
            if !other.is_empty() {
                say(Tone::Dim, format!("{relation} {}", look.elide(&safe(other), MAX_REASON)));
            }
        }
        for (name, value) in &call.fields {
            say(Tone::Plain, format!("{} {}", safe(name), look.elide(&safe(value), MAX_REASON)));
        }
        if call.event {
            say(Tone::Dim, "event".to_owned());
        }
        if call.refused {
            say(Tone::Warn, "parent refused".to_owned());
        }
        notes
    }
}

fn is_undone(item: &CommandView) -> bool {
    use PlanItemState::{Done, MarkedDone, NotNeeded};
    item.action == CommandAction::Undo && matches!(item.state, Done | NotNeeded | MarkedDone)
}

fn is_kept(item: &CommandView) -> bool {
    matches!(item.state, PlanItemState::Kept | PlanItemState::Skipped | PlanItemState::Uncompensatable)
}

/// How a call ended.
fn ending(call: &CallView, look: Look) -> Note {
    let reason = look.elide(&safe(&call.reason), MAX_REASON);
    let with_reason = |word: &str| if reason.is_empty() { word.to_owned() } else { format!("{word} {reason}") };
    let (tone, text) = match (call.end, call.answer) {
        (CallEnd::Open, _) => (Tone::Warn, "open".to_owned()),
        (CallEnd::HalfKnown, None) => (Tone::Warn, "never seen".to_owned()),
        (CallEnd::HalfKnown, Some(code)) => (Tone::Warn, format!("{}, request never seen", with_reason(word(code)))),
        (CallEnd::TimedOut, _) => (Tone::Bad, "timed out".to_owned()),
        (CallEnd::Answered, _) if call.undeliverable => (Tone::Bad, "undeliverable".to_owned()),
        (CallEnd::Answered, Some(code @ (StatusCode::Ok | StatusCode::Ongoing))) => (Tone::Good, word(code).to_owned()),
        (CallEnd::Answered, Some(code)) => (Tone::Bad, with_reason(word(code))),
        // A one-way event is answered when it is published (S1.7).
        (CallEnd::Answered, None) => (Tone::Plain, "published".to_owned()),
    };
    Note { tone, text }
}

/// The word of a status.
fn word(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Ok => "ok",
        StatusCode::Failed => "failed",
        StatusCode::Unknown => "unknown",
        StatusCode::Cancelled => "cancelled",
        StatusCode::Ongoing => "ongoing",
    }
}
