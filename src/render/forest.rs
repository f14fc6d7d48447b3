//! The calls of a picture as a forest: a petgraph graph from callers to callees, roots in the order of their begin.

use std::collections::HashMap;

use petgraph::{
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use crate::model::{CallView, ChainView};

/// The calls of a chain.
#[derive(Debug)]
pub struct Forest<'a> {
    /// A node for each call, in the order of the picture; an edge from each parent to its child.
    pub graph: DiGraph<&'a CallView, ()>,
    /// The calls without a known parent.
    pub roots: Vec<NodeIndex<u32>>,
}

/// One call on a walk through the forest.
#[derive(Debug, Clone)]
pub struct Visit<'a> {
    /// The call.
    pub call: &'a CallView,
    /// For each level down to it: whether there are later siblings there. Empty for a root.
    pub later: Vec<bool>,
}

impl<'a> Forest<'a> {
    /// The forest of a picture. A call whose parent stands nowhere, or that would be its own ancestor, is a root.
    #[must_use]
    pub fn of(view: &'a ChainView) -> Self {
        let mut graph = DiGraph::with_capacity(view.calls.len(), view.calls.len());
        let mut nodes: HashMap<&str, NodeIndex<u32>> = HashMap::with_capacity(view.calls.len());
        let mut roots = Vec::new();
        for call in &view.calls {
            let node = graph.add_node(call);
            // Parents stand before children in a picture: a parent that is not there yet is none.
            match nodes.get(call.parent.as_str()).filter(|_| !call.parent.is_empty()) {
                Some(&parent) => {
                    graph.add_edge(parent, node, ());
                }
                None => roots.push(node),
            }
            nodes.insert(&call.call_id, node);
        }
        Self { graph, roots }
    }

    /// The children of a call, in the order of the picture.
    #[must_use]
    pub fn children(&self, node: NodeIndex<u32>) -> Vec<NodeIndex<u32>> {
        let mut children: Vec<NodeIndex<u32>> = self.graph.edges(node).map(|edge| edge.target()).collect();
        children.sort_unstable();
        children
    }

    /// Every call, callers before callees.
    #[must_use]
    pub fn walk(&self) -> Vec<Visit<'a>> {
        let mut visits = Vec::with_capacity(self.graph.node_count());
        let mut open: Vec<(NodeIndex<u32>, Vec<bool>)> =
            self.roots.iter().rev().map(|&root| (root, Vec::new())).collect();
        while let Some((node, later)) = open.pop() {
            let children = self.children(node);
            for (n, &child) in children.iter().enumerate().rev() {
                let mut levels = later.clone();
                levels.push(n + 1 < children.len());
                open.push((child, levels));
            }
            visits.push(Visit { call: self.graph[node], later });
        }
        visits
    }
}
