//! A chain as a Graphviz graph: `dot -Tsvg`.

use std::fmt::Write as _;

use petgraph::visit::EdgeRef;

use super::{forest::Forest, look::safe, marks::Marks};
use crate::model::{CallEnd, CallView, ChainView, StatusCode};

/// The chain in the DOT language.
#[must_use]
pub fn dot(view: &ChainView) -> String {
    let forest = Forest::of(view);
    let marks = Marks::of(view);
    let mut out = format!("digraph {} {{\n", quoted(&view.chain_id));
    out.push_str("  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for node in forest.graph.node_indices() {
        let call = forest.graph[node];
        let mut style = format!("color={}", color(call));
        if marks.on_path(&call.call_id) {
            style.push_str(", penwidth=2");
        }
        if marks.part(&call.call_id) == Some("failing edge") {
            style.push_str(", style=\"rounded,filled\", fillcolor=mistyrose");
        }
        let _ = writeln!(out, "  n{} [label={}, {style}];", node.index(), quoted(&label(call, &marks)));
    }
    for edge in forest.graph.edge_references() {
        let (from, to) = (edge.source(), edge.target());
        let on_path = marks.on_path(&forest.graph[from].call_id) && marks.on_path(&forest.graph[to].call_id);
        let style = if on_path { " [color=red, penwidth=2]" } else { "" };
        let _ = writeln!(out, "  n{} -> n{}{style};", from.index(), to.index());
    }
    out.push_str("}\n");
    out
}

/// The lines of a node: what was called, which call, how it ended.
pub(super) fn label(call: &CallView, marks: &Marks<'_>) -> String {
    let version = if call.version.is_empty() { String::new() } else { format!("@{}", call.version) };
    let ending = match (call.end, call.answer) {
        (CallEnd::Open, _) => "open",
        (CallEnd::HalfKnown, _) => "request never seen",
        (CallEnd::TimedOut, _) => "timed out",
        (CallEnd::Answered, Some(StatusCode::Ok)) => "ok",
        (CallEnd::Answered, Some(StatusCode::Failed)) => "failed",
        (CallEnd::Answered, Some(StatusCode::Unknown)) => "unknown",
        (CallEnd::Answered, Some(StatusCode::Cancelled)) => "cancelled",
        (CallEnd::Answered, Some(StatusCode::Ongoing)) => "ongoing",
        (CallEnd::Answered, None) => "published",
    };
    let mut out = format!("{}{version} {}\n{}\n{ending}", call.callee, call.operation, call.call_id);
    if !call.reason.is_empty() {
        let _ = write!(out, " {}", call.reason);
    }
    if let Some(part) = marks.part(&call.call_id) {
        let _ = write!(out, "\n{part}");
    }
    out
}

fn color(call: &CallView) -> &'static str {
    match (call.end, call.answer) {
        (CallEnd::TimedOut, _) => "red",
        (CallEnd::Answered, Some(StatusCode::Failed | StatusCode::Unknown | StatusCode::Cancelled)) => "red",
        (CallEnd::Answered, _) => "darkgreen",
        (CallEnd::Open | CallEnd::HalfKnown, _) => "orange",
    }
}

/// A quoted string of the DOT language; line breaks become its `\n`.
fn quoted(text: &str) -> String {
    let lines: Vec<String> =
        text.split('\n').map(|line| safe(line).replace('\\', "\\\\").replace('"', "\\\"")).collect();
    format!("\"{}\"", lines.join("\\n"))
}
