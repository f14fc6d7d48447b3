//! What many chains amount to: outcomes, failing edges and tolerated ones by how often, anomalies, refused input.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, hash_map::Entry},
};

use super::{
    json::{ChainLine, EdgeLine},
    look::{Look, Sign, Tone, safe},
    table::{Cell, Table},
};

/// Different edges that are counted; further ones are counted together.
const MAX_EDGES: usize = 10_000;
/// Edges that are shown of each list.
const SHOWN: usize = 15;

/// Caller, callee, operation.
type Edge = (String, String, String);

/// Counts of chains.
#[derive(Debug, Default)]
pub struct Summary {
    chains: u64,
    outcomes: BTreeMap<&'static str, u64>,
    states: BTreeMap<&'static str, u64>,
    causes: BTreeMap<&'static str, u64>,
    anomalies: BTreeMap<&'static str, u64>,
    ambiguous: u64,
    incomplete: u64,
    failing: Edges,
    tolerated: Edges,
    refused: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct Edges {
    counts: HashMap<Edge, u64>,
    others: u64,
}

impl Edges {
    fn count(&mut self, edge: Edge) {
        let room = self.counts.len() < MAX_EDGES;
        match self.counts.entry(edge) {
            Entry::Occupied(mut count) => *count.get_mut() += 1,
            Entry::Vacant(place) if room => {
                place.insert(1);
            }
            Entry::Vacant(_) => self.others += 1,
        }
    }

    /// Most frequent first.
    fn ranked(&self) -> Vec<(&Edge, u64)> {
        let mut ranked: Vec<(&Edge, u64)> = self.counts.iter().map(|(edge, &count)| (edge, count)).collect();
        ranked.sort_by(|a, b| (Reverse(a.1), a.0).cmp(&(Reverse(b.1), b.0)));
        ranked
    }
}

impl Summary {
    /// Counts a chain.
    pub fn add(&mut self, chain: &ChainLine) {
        self.chains += 1;
        *self.outcomes.entry(chain.outcome).or_default() += 1;
        *self.states.entry(chain.state).or_default() += u64::from(chain.state != "none");
        if let Some(cause) = chain.cause {
            *self.causes.entry(cause).or_default() += 1;
        }
        for &anomaly in &chain.anomalies {
            *self.anomalies.entry(anomaly).or_default() += 1;
        }
        self.ambiguous += u64::from(chain.ambiguous);
        self.incomplete += u64::from(chain.incomplete);
        if let Some(EdgeLine { caller, callee, operation, .. }) = &chain.failing_edge {
            self.failing.count((caller.clone(), callee.clone(), operation.clone()));
        }
        for failure in &chain.tolerated {
            self.tolerated.count((failure.caller.clone(), failure.callee.clone(), failure.operation.clone()));
        }
    }

    /// Counts a line or message that was not taken.
    pub fn refuse(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// Lines and messages that were not taken.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// The summary as text, every line ended.
    #[must_use]
    pub fn show(&self, look: Look) -> String {
        let mut out = format!("{}\n", look.paint(Tone::Strong, &format!("{} chains", grouped(self.chains))));
        let mut counts = Table::default();
        let tone = |word: &str| match word {
            "succeeded" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Warn,
        };
        for (&outcome, &count) in &self.outcomes {
            counts.row(counted(tone(outcome), outcome, count, share(count, self.chains)));
        }
        for (what, count) in [("ambiguous", self.ambiguous), ("incomplete", self.incomplete)] {
            if count > 0 {
                counts.row(counted(Tone::Warn, what, count, share(count, self.chains)));
            }
        }
        out.push_str(&counts.lines(look, 2));
        words(&mut out, "causes", &self.causes, look);
        words(&mut out, "plans", &self.states, look);
        words(&mut out, "anomalies", &self.anomalies, look);
        edges(&mut out, "failing edges", &self.failing, look);
        edges(&mut out, "tolerated failures", &self.tolerated, look);
        words(&mut out, "refused input", &self.refused, look);
        out
    }
}

fn counted(tone: Tone, what: &str, count: u64, share: String) -> Vec<Cell> {
    vec![Cell::right(Tone::Plain, grouped(count)), Cell::left(tone, what), Cell::right(Tone::Dim, share)]
}

fn words(out: &mut String, title: &str, counts: &BTreeMap<&'static str, u64>, look: Look) {
    let mut ranked: Vec<(&str, u64)> = counts.iter().map(|(&word, &count)| (word, count)).collect();
    ranked.retain(|(_, count)| *count > 0);
    ranked.sort_by_key(|&(word, count)| (Reverse(count), word));
    if ranked.is_empty() {
        return;
    }
    out.push_str(&format!("{}\n", look.paint(Tone::Strong, title)));
    let mut table = Table::default();
    for (word, count) in ranked {
        table.row(vec![Cell::right(Tone::Plain, grouped(count)), Cell::left(Tone::Plain, word)]);
    }
    out.push_str(&table.lines(look, 2));
}

fn edges(out: &mut String, title: &str, edges: &Edges, look: Look) {
    let ranked = edges.ranked();
    if ranked.is_empty() {
        return;
    }
    out.push_str(&format!("{}\n", look.paint(Tone::Strong, title)));
    let mut table = Table::default();
    for ((caller, callee, operation), count) in ranked.iter().take(SHOWN) {
        let caller = if caller.is_empty() { "?" } else { caller };
        table.row(vec![
            Cell::right(Tone::Plain, grouped(*count)),
            Cell::left(Tone::Plain, format!("{} {} {}", safe(caller), look.sign(Sign::Arrow), safe(callee))),
            Cell::left(Tone::Dim, safe(operation)),
        ]);
    }
    let rest: u64 = ranked.iter().skip(SHOWN).map(|(_, count)| count).sum::<u64>() + edges.others;
    if rest > 0 {
        let what = format!("on {} other edges", grouped(ranked.len().saturating_sub(SHOWN) as u64));
        let what = if edges.others > 0 { "on other edges".to_owned() } else { what };
        table.row(vec![Cell::right(Tone::Dim, grouped(rest)), Cell::left(Tone::Dim, what)]);
    }
    out.push_str(&table.lines(look, 2));
}

/// A number with its thousands set apart.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How much of the whole, in percent; small shares keep a decimal.
fn share(part: u64, whole: u64) -> String {
    let permille = part.saturating_mul(1_000).checked_div(whole).unwrap_or(0);
    match permille {
        _ if part == whole => "100 %".to_owned(),
        0 => "< 0.1 %".to_owned(),
        1..100 => format!("{}.{} %", permille / 10, permille % 10),
        _ => format!("{} %", permille / 10),
    }
}
