//! Everything that is made of a chain's picture must stand whatever the chain is.

use countermand::{
    model::{ChainView, CommandAction, PlanItemState},
    render::{self, Look},
    wire,
};
use prost::Message;

/// Renders a picture in every way and encodes it for the bus. Panics if something of it cannot be.
pub fn show(view: &ChainView) {
    let record = wire::chain_record(view);
    assert!(!record.encode_to_vec().is_empty(), "a record has an id");
    wire::to_json(&record).expect("a record has JSON");
    let _ = (render::tree(view, Look::default()), render::plan(view, Look::default()));
    let _ = (render::dot(view), render::mermaid(view));
}

/// What holds of every picture.
pub fn check(view: &ChainView, calls: usize) {
    assert!(view.calls.len() <= calls, "{} calls in a chain of at most {calls}", view.calls.len());
    for command in &view.commands {
        // What is only named takes no place, also where a participant was asked about it before (S4.6, S4.7).
        let named = matches!(command.state, PlanItemState::Kept | PlanItemState::Uncompensatable);
        let placed = command.sends == 0 || command.wave >= 1 || named && command.action == CommandAction::Inquire;
        assert!(placed && command.generation >= 1, "a command without a place: {command:?}");
    }
    if let Some(verdict) = &view.verdict {
        assert!(verdict.revision >= 1, "revisions count from 1");
        assert!(verdict.path.len() <= view.calls.len(), "a path names each call once");
    }
}
