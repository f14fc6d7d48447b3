//! What documentation says of settings: `check --explain`, and the table in `docs/configuration.md`.

use std::fmt::Write as _;

use super::{
    hint,
    schema::{Row, keys, rows},
};

/// Columns that an explanation takes on a terminal.
const WIDTH: usize = 100;

/// What there is to say of `key`: a whole key, its last part, or a table.
///
/// # Errors
/// What was probably meant, if there is no such setting.
pub fn explain(key: &str) -> Result<String, String> {
    let is_it = |row: &Row| {
        row.key == key
            || row.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
            || row.key.strip_suffix(key).is_some_and(|rest| rest.ends_with('.'))
    };
    let rows: Vec<Row> = rows().into_iter().filter(is_it).collect();
    if rows.is_empty() {
        let names = keys().chain(keys().filter_map(|key| Some(key.rsplit_once('.')?.1)));
        return Err(match hint::nearest(key, names) {
            Some(near) => format!("there is no setting `{key}`: did you mean `{near}`?"),
            None => format!("there is no setting `{key}`: `countermand check --print-settings` lists all"),
        });
    }
    Ok(rows.iter().map(explanation).collect::<Vec<_>>().join("\n"))
}

fn explanation(row: &Row) -> String {
    let mut text = format!("{}\n", row.key);
    let default = row.default.as_deref().map_or("not set".to_owned(), str::to_owned);
    wrap(&mut text, &format!("{}; by default {default}.", sentence(&row.values)));
    wrap(&mut text, row.what);
    if !row.why.is_empty() {
        wrap(&mut text, &format!("Why this default: {}", row.why));
    }
    if !row.rule.is_empty() {
        wrap(&mut text, &format!("Rules: {}.", row.rule));
    }
    match &row.variable {
        Some(variable) => wrap(&mut text, &format!("Variable: {variable}.")),
        None => wrap(&mut text, "It stands in the file only."),
    }
    text
}

/// `text` with a capital letter in front.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn wrap(text: &mut String, paragraph: &str) {
    let mut column = WIDTH;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if column + 1 + length > WIDTH {
            text.push_str(if text.ends_with('\n') { "  " } else { "\n  " });
            column = 2;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

/// The table of all settings in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| Setting | Values | Default | What it does, and why the default is that | Rules |\n");
    text.push_str("|---|---|---|---|---|\n");
    for row in rows() {
        let default = row.default.as_deref().map_or("not set".to_owned(), |default| format!("`{default}`"));
        let why = if row.why.is_empty() { String::new() } else { format!(" *{}*", row.why) };
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | {}{} | {} |",
            row.key,
            cell(&row.values),
            cell(row.what),
            cell(&why),
            row.rule
        );
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
