//! A chain as a Mermaid flow chart, as code hosts and wikis draw them.

use std::fmt::Write as _;

use petgraph::visit::EdgeRef;

use super::{dot::label, forest::Forest, look::safe, marks::Marks};
use crate::model::{CallEnd, CallView, ChainView, StatusCode};

/// The chain as Mermaid text.
#[must_use]
pub fn mermaid(view: &ChainView) -> String {
    let forest = Forest::of(view);
    let marks = Marks::of(view);
    let mut out = String::from("flowchart LR\n");
    for node in forest.graph.node_indices() {
        let call = forest.graph[node];
        let class = if marks.part(&call.call_id) == Some("failing edge") { "edge" } else { class(call) };
        let _ = writeln!(out, "  n{}[\"{}\"]:::{class}", node.index(), escaped(&label(call, &marks)));
    }
    for edge in forest.graph.edge_references() {
        let (from, to) = (edge.source(), edge.target());
        let on_path = marks.on_path(&forest.graph[from].call_id) && marks.on_path(&forest.graph[to].call_id);
        let arrow = if on_path { "==>" } else { "-->" };
        let _ = writeln!(out, "  n{} {arrow} n{}", from.index(), to.index());
    }
    out.push_str("  classDef ok stroke:#2e7d32\n  classDef failed stroke:#c62828\n");
    out.push_str("  classDef open stroke:#ef6c00\n  classDef edge stroke:#c62828,stroke-width:3px,fill:#ffebee\n");
    out
}

fn class(call: &CallView) -> &'static str {
    match (call.end, call.answer) {
        (CallEnd::TimedOut, _) => "failed",
        (CallEnd::Answered, Some(StatusCode::Failed | StatusCode::Unknown | StatusCode::Cancelled)) => "failed",
        (CallEnd::Answered, _) => "ok",
        (CallEnd::Open | CallEnd::HalfKnown, _) => "open",
    }
}

/// Text inside quotes: everything that Mermaid or the page around it could take for markup as a numbered entity.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push_str("<br/>");
        }
        for c in safe(line).chars() {
            if c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '/' | '@' | ':') {
                out.push(c);
            } else {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}
