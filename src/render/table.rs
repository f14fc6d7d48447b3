//! Rows of cells in aligned columns.

use super::look::{Look, Tone, columns};

/// One cell.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// Text, aligned to the left.
    #[must_use]
    pub fn left(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone, right: false }
    }

    /// A number, aligned to the right.
    #[must_use]
    pub fn right(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone, right: true }
    }
}

/// A table.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

/// Columns between two cells.
const GAP: usize = 2;

impl Table {
    /// Adds a row. Rows may differ in length.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each indented by `indent` columns and ended. A line takes at most the width of the
    /// look, unless that shows names whole: the widest columns are elided for it.
    #[must_use]
    pub fn lines(&self, look: Look, indent: usize) -> String {
        let widths = self.widths(look, indent);
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (n, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if n > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                let text = look.elide(&cell.text, width);
                let pad = " ".repeat(width.saturating_sub(columns(&text)));
                let text = look.paint(cell.tone, &text);
                line.push_str(&if cell.right { format!("{pad}{text}") } else { format!("{text}{pad}") });
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The width of each column: what its widest cell takes; then, unless
    /// they are shown whole, the widest of all gives way until they fit.
    fn widths(&self, look: Look, indent: usize) -> Vec<usize> {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |n: usize| self.rows.iter().filter_map(|row| row.get(n)).map(|cell| columns(&cell.text)).max();
        let mut widths: Vec<usize> = (0..count).map(|n| widest(n).unwrap_or(0)).collect();
        if look.whole {
            return widths;
        }
        let room = look.width.saturating_sub(indent + GAP * count.saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > 1 => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table};
    use crate::render::look::{Look, Tone};

    #[test]
    fn columns_line_up_and_the_widest_gives_way() {
        let mut table = Table::default();
        table.row(vec![Cell::left(Tone::Plain, "a"), Cell::right(Tone::Plain, "1"), Cell::left(Tone::Plain, "x")]);
        table.row(vec![Cell::left(Tone::Plain, "a-long-name-of-a-thing"), Cell::right(Tone::Plain, "100")]);
        assert_eq!(
            table.lines(Look { ascii: true, width: 24, ..Look::default() }, 2),
            "  a                 1  x\n  a-long..-thing  100\n"
        );
    }
}
