//! A chain as one JSON object: the line of `replay`, and what the HTTP API says of a chain (contract.md). Keys keep
//! their order.

use serde::Serialize;

use crate::model::{Certainty, ChainView, CommandView, FailureView, PlanItemState};

/// The failing edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeLine {
    /// Calling service.
    pub caller: String,
    /// Called service.
    pub callee: String,
    /// Called operation.
    pub operation: String,
    /// The call.
    pub call_id: String,
}

/// A failure beside the failing edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureLine {
    /// The call.
    pub call_id: String,
    /// Calling service.
    pub caller: String,
    /// Called service.
    pub callee: String,
    /// Called operation.
    pub operation: String,
    /// The reason that it gave.
    pub reason: String,
}

/// A command of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandLine {
    /// Wave, from 1 in its generation.
    pub wave: u32,
    /// Generation, from 1.
    pub generation: u32,
    /// What it asks for.
    pub action: &'static str,
    /// The call that it is about.
    pub call_id: String,
    /// Service that shall act.
    pub service: String,
    /// Operation that it shall carry out.
    pub operation: String,
    /// Whether the effect is known to be there.
    pub certainty: &'static str,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainLine {
    /// The chain.
    pub chain_id: String,
    /// How it ended; `unknown` also where there is no verdict.
    pub outcome: &'static str,
    /// Where its failure began.
    pub failing_edge: Option<EdgeLine>,
    /// Why.
    pub cause: Option<&'static str>,
    /// From the root down to the failing edge.
    pub path: Vec<String>,
    /// The other suspects.
    pub contributing: Vec<FailureLine>,
    /// Failures that did not fail their caller.
    pub tolerated: Vec<FailureLine>,
    /// What was wrong with the messages.
    pub anomalies: Vec<&'static str>,
    /// Only the time of failing told the suspects apart.
    pub ambiguous: bool,
    /// Something is missing.
    pub incomplete: bool,
    /// The whole plan, all waves: what was or would be sent. Effects that are held, kept or that nothing undoes have
    /// no command, and one that was withdrawn unsent is none any more.
    pub commands: Vec<CommandLine>,
    /// State of the plan.
    pub state: &'static str,
}

impl From<&FailureView> for FailureLine {
    fn from(failure: &FailureView) -> Self {
        Self {
            call_id: failure.call_id.clone(),
            caller: failure.caller.clone(),
            callee: failure.callee.clone(),
            operation: failure.operation.clone(),
            reason: failure.reason.clone(),
        }
    }
}

impl From<&CommandView> for CommandLine {
    fn from(command: &CommandView) -> Self {
        Self {
            wave: command.wave,
            generation: command.generation,
            action: command.action.word(),
            call_id: command.call_id.clone(),
            service: command.service.clone(),
            operation: command.operation.clone(),
            certainty: match command.certainty {
                Certainty::Applied => "applied",
                Certainty::InDoubt => "in_doubt",
            },
        }
    }
}

/// Whether an item of a plan is a command: it was sent, or it is not an effect for which there is none.
fn is_command(item: &CommandView) -> bool {
    use PlanItemState::{Held, Kept, Uncompensatable, Withdrawn};
    item.sends > 0 || !matches!(item.state, Held | Kept | Uncompensatable | Withdrawn)
}

impl From<&ChainView> for ChainLine {
    fn from(view: &ChainView) -> Self {
        let mut line = Self::undecided(view.chain_id.clone());
        line.commands = view.commands.iter().filter(|item| is_command(item)).map(CommandLine::from).collect();
        line.state = view.state.word();
        let Some(verdict) = &view.verdict else { return line };
        line.outcome = verdict.outcome.word();
        line.failing_edge = verdict.failing.as_ref().map(|edge| EdgeLine {
            caller: edge.caller.clone(),
            callee: edge.callee.clone(),
            operation: edge.operation.clone(),
            call_id: edge.call_id.clone(),
        });
        line.cause = verdict.cause.map(|cause| cause.word());
        line.path.clone_from(&verdict.path);
        line.contributing = verdict.contributing.iter().map(FailureLine::from).collect();
        line.tolerated = verdict.tolerated.iter().map(FailureLine::from).collect();
        line.anomalies = verdict.anomalies.iter().map(|anomaly| anomaly.word()).collect();
        line.ambiguous = verdict.ambiguous;
        line.incomplete = verdict.incomplete;
        line
    }
}

impl ChainLine {
    /// A chain that ended without a verdict: given up at the memory limit (S2.10).
    #[must_use]
    pub fn undecided(chain_id: String) -> Self {
        Self {
            chain_id,
            outcome: crate::model::Outcome::Unknown.word(),
            failing_edge: None,
            cause: None,
            path: Vec::new(),
            contributing: Vec::new(),
            tolerated: Vec::new(),
            anomalies: Vec::new(),
            ambiguous: false,
            incomplete: true,
            commands: Vec::new(),
            state: crate::model::PlanState::None.word(),
        }
    }
}
