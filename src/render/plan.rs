//! A chain's plan in waves, with where each item stands.

use super::{
    look::{Look, Sign, Tone, safe},
    table::{Cell, Table},
};
use crate::model::{Certainty, ChainView, CommandView, PlanItemState};

/// The plan as text, every line ended; empty if there is none.
#[must_use]
pub fn plan(view: &ChainView, look: Look) -> String {
    if view.commands.is_empty() {
        return String::new();
    }
    let generations = view.commands.iter().map(|command| command.generation).max().unwrap_or(1);
    let mut table = Table::default();
    let mut before = None;
    for command in &view.commands {
        let place = (command.generation, command.wave);
        let wave = if before == Some(place) { String::new() } else { place_name(command, generations) };
        before = Some(place);
        table.row(row(command, wave, look));
    }
    format!("{}\n{}", look.paint(Tone::Strong, "plan"), table.lines(look, 2))
}

fn place_name(command: &CommandView, generations: u32) -> String {
    let wave = if command.wave == 0 { "no wave".to_owned() } else { format!("wave {}", command.wave) };
    if generations == 1 { wave } else { format!("generation {}, {wave}", command.generation) }
}

fn row(command: &CommandView, wave: String, look: Look) -> Vec<Cell> {
    let (sign, tone) = match command.state {
        PlanItemState::Done | PlanItemState::NotNeeded | PlanItemState::MarkedDone => (Sign::Good, Tone::Good),
        PlanItemState::Stuck | PlanItemState::Held | PlanItemState::Uncompensatable => (Sign::Bad, Tone::Bad),
        PlanItemState::Waiting | PlanItemState::Sent | PlanItemState::Backoff => (Sign::Open, Tone::Warn),
        PlanItemState::Kept | PlanItemState::Skipped | PlanItemState::Withdrawn => (Sign::Dot, Tone::Dim),
    };
    let certainty = match command.certainty {
        Certainty::Applied => "applied",
        Certainty::InDoubt => "in doubt",
    };
    let target = if command.operation.is_empty() {
        safe(&command.service).into_owned()
    } else {
        format!("{} {}", safe(&command.service), safe(&command.operation))
    };
    let mut state = format!("{} {}", look.sign(sign), command.state.word());
    if let Some(reason) = command.reason.filter(|reason| reason.word() != command.state.word()) {
        state.push_str(&format!(" ({reason})"));
    }
    let sends =
        if command.sends > 0 { format!("sent {}{}", command.sends, look.sign(Sign::Times)) } else { String::new() };
    vec![
        Cell::left(Tone::Plain, wave),
        Cell::left(Tone::Plain, command.action.word()),
        Cell::left(Tone::Plain, safe(&command.call_id)),
        Cell::left(Tone::Plain, target),
        Cell::left(Tone::Dim, certainty),
        Cell::left(tone, state),
        Cell::left(Tone::Dim, sends),
    ]
}
