//! What people and programs are shown of a chain: tree, plan, graph text, the JSON line. Everything is made from a
//! [`crate::model::ChainView`]; nothing here decides.

mod dot;
mod forest;
mod json;
mod look;
mod marks;
mod mermaid;
mod plan;
mod table;
mod time;
mod tree;

pub use dot::dot;
pub use json::{ChainLine, CommandLine, EdgeLine, FailureLine};
pub use look::{Look, Sign, Tone, WIDTH, columns, safe};
pub use mermaid::mermaid;
pub use plan::plan;
pub use table::{Cell, Table};
pub use time::{instant, short};
pub use tree::{state_tone, tree, wrap};
