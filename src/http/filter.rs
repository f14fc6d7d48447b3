//! Which chains, or commands of chains, a list is asked for.

use super::{problem::Problem, query::Params};
use crate::{
    model::{
        BusTime, CallView, Cause, ChainView, CommandAction, CommandView, FailureView, Outcome, PlanItemState,
        PlanState, Span,
    },
    policy::load::parse_span,
};

/// What lists of chains can be asked.
pub(super) const OF_CHAINS: &[&str] = &[
    "outcome",
    "state",
    "service",
    "operation",
    "failing_caller",
    "failing_callee",
    "cause",
    "since",
    "until",
    "min_duration",
    "q",
    "limit",
    "cursor",
];

/// What lists of commands can be asked; `state`, `service` and `operation` are those of the command.
pub(super) const OF_COMMANDS: &[&str] = &[
    "state",
    "service",
    "operation",
    "action",
    "chain_id",
    "outcome",
    "failing_caller",
    "failing_callee",
    "cause",
    "since",
    "until",
    "min_duration",
    "q",
    "limit",
    "cursor",
];

/// Which chains are wanted, whatever their plan and their calls.
pub(super) struct Filter {
    chain_id: Option<String>,
    outcome: Option<Outcome>,
    cause: Option<Cause>,
    failing_caller: Option<String>,
    failing_callee: Option<String>,
    since: Option<BusTime>,
    until: Option<BusTime>,
    min_duration: Option<Span>,
    text: Option<String>,
}

/// Which of their plans and calls.
pub(super) struct OfChains {
    all: Filter,
    state: Option<PlanState>,
    service: Option<String>,
    operation: Option<String>,
}

/// Which commands.
pub(super) struct OfCommands {
    all: Filter,
    state: Option<PlanItemState>,
    action: Option<CommandAction>,
    service: Option<String>,
    operation: Option<String>,
}

/// The value that a word of the rule book stands for.
macro_rules! word {
    ($params:expr, $name:literal, $kind:ty) => {
        $params.value($name, <$kind>::from_word, || {
            let words: Vec<&str> = <$kind>::ALL.iter().map(|value| value.word()).collect();
            format!("it is one of {}", words.join(", "))
        })
    };
}

fn owned(params: &Params, name: &'static str) -> Option<String> {
    params.text(name).map(str::to_owned)
}

fn instant(params: &Params, name: &'static str) -> Result<Option<BusTime>, Problem> {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok().map(|at| BusTime(at.as_millisecond()));
    params.value(name, read, || "times are RFC 3339, such as 2026-01-31T12:00:00Z".to_owned())
}

impl Filter {
    fn read(params: &Params) -> Result<Self, Problem> {
        let span = |text: &str| parse_span(text).ok();
        let least = params.value("min_duration", span, || "durations are like 500ms, 2s, 1h".to_owned())?;
        Ok(Self {
            chain_id: owned(params, "chain_id"),
            outcome: word!(params, "outcome", Outcome)?,
            cause: word!(params, "cause", Cause)?,
            failing_caller: owned(params, "failing_caller"),
            failing_callee: owned(params, "failing_callee"),
            since: instant(params, "since")?,
            until: instant(params, "until")?,
            min_duration: least,
            text: owned(params, "q"),
        })
    }

    fn takes(&self, view: &ChainView) -> bool {
        let verdict = view.verdict.as_ref();
        let failing = verdict.and_then(|verdict| verdict.failing.as_ref());
        let edge = |wanted: &Option<String>, end: fn(&FailureView) -> &String| {
            wanted.is_none() || failing.is_some_and(|failing| is(wanted.as_ref(), end(failing)))
        };
        let at = verdict.map_or(view.started_at, |verdict| verdict.decided_at);
        is(self.chain_id.as_ref(), &view.chain_id)
            && self.outcome.is_none_or(|wanted| verdict.is_some_and(|verdict| verdict.outcome == wanted))
            && self.cause.is_none_or(|wanted| verdict.is_some_and(|verdict| verdict.cause == Some(wanted)))
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at <= until)
            && self.min_duration.is_none_or(|least| duration(view) >= least)
            && edge(&self.failing_caller, |failing| &failing.caller)
            && edge(&self.failing_callee, |failing| &failing.callee)
            && self.text.as_ref().is_none_or(|text| says(view, text))
    }
}

impl OfChains {
    /// Reads what is asked.
    pub fn read(params: &Params) -> Result<Self, Problem> {
        Ok(Self {
            all: Filter::read(params)?,
            state: word!(params, "state", PlanState)?,
            service: owned(params, "service"),
            operation: owned(params, "operation"),
        })
    }

    /// Whether a chain is wanted.
    pub fn takes(&self, view: &ChainView) -> bool {
        let calls = |wanted: Option<&String>, says: &dyn Fn(&CallView, &str) -> bool| {
            wanted.is_none_or(|wanted| view.calls.iter().any(|call| says(call, wanted)))
        };
        self.state.is_none_or(|wanted| view.state == wanted)
            && calls(self.service.as_ref(), &|call, service| call.callee == service || call.caller == service)
            && calls(self.operation.as_ref(), &|call, operation| call.operation == operation)
            && self.all.takes(view)
    }
}

impl OfCommands {
    /// Reads what is asked.
    pub fn read(params: &Params) -> Result<Self, Problem> {
        let actions = [CommandAction::Undo, CommandAction::Inquire, CommandAction::Retry];
        let action = |text: &str| actions.into_iter().find(|action| action.word() == text);
        Ok(Self {
            all: Filter::read(params)?,
            state: word!(params, "state", PlanItemState)?,
            action: params.value("action", action, || "it is one of undo, inquire, retry".to_owned())?,
            service: owned(params, "service"),
            operation: owned(params, "operation"),
        })
    }

    /// Whether commands of a chain are wanted.
    pub fn takes(&self, view: &ChainView) -> bool {
        self.all.takes(view) && view.commands.iter().any(|command| self.takes_command(command))
    }

    /// Whether a command of such a chain is.
    pub fn takes_command(&self, command: &CommandView) -> bool {
        self.state.is_none_or(|wanted| command.state == wanted)
            && self.action.is_none_or(|wanted| command.action == wanted)
            && is(self.service.as_ref(), &command.service)
            && is(self.operation.as_ref(), &command.operation)
    }
}

fn is(wanted: Option<&String>, known: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == known)
}

/// From the first message to the last call's end that is known.
fn duration(view: &ChainView) -> Span {
    let end = view.calls.iter().filter_map(|call| call.ended_at).max().unwrap_or(view.started_at);
    end.since(view.started_at)
}

/// Whether a text stands in a chain's ids, names or words.
fn says(view: &ChainView, text: &str) -> bool {
    let verdict = view.verdict.iter().map(|verdict| verdict.sentence.as_str());
    let calls = view.calls.iter().flat_map(|call| {
        [&call.call_id, &call.caller, &call.callee, &call.operation, &call.reason, &call.version].map(String::as_str)
    });
    std::iter::once(view.chain_id.as_str()).chain(verdict).chain(calls).any(|known| known.contains(text))
}
