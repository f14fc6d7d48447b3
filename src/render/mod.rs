//! What people and programs are shown of a chain: tree, plan, graph text, the JSON line. Everything is made from a
//! [`crate::model::ChainView`]; nothing here decides.

mod dot;
mod forest;
mod json;
mod line;
mod look;
mod marks;
mod mermaid;
mod otlp;
mod plan;
mod summary;
mod table;
mod time;
mod tree;

pub use dot::dot;
pub use json::{ChainLine, CommandLine, EdgeLine, FailureLine};
pub use line::{is_notable, line};
pub use look::{Look, Sign, Tone, WIDTH, columns, safe};
pub use mermaid::mermaid;
pub use otlp::otlp;
pub use summary::{Summary, grouped};
pub use table::{Cell, Table};
pub use time::{instant, short};
pub use tree::{state_tone, tree, wrap};
