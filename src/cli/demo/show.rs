//! What the demo shows besides its story: how it begins, and the accounts at its end.

use std::net::SocketAddr;

use serde_json::json;

use super::Args;
use crate::{
    demo::{Account, Counts},
    render::{Cell, Look, Sign, Table, Tone, grouped},
};

/// Lines about what is wrong that are printed; `--format json` has all.
const MAX_WRONG: usize = 10;

/// Whether everything is accounted for, and nothing waits for anybody.
pub(super) fn is_right(account: &Account, counts: Counts) -> bool {
    account.is_right() && counts.stuck + counts.waiting == 0 && account.fits(counts.failed)
}

/// How the demo begins.
pub(super) fn intro(args: &Args, address: SocketAddr, look: Look) -> String {
    format!(
        "{}\nEight services sell lamps over a bus inside this process (seed {}). Nothing tells Countermand what they do: it\n\
         reads their envelopes. Look at it while it works:\n\n  \
           curl 'http://{address}/v1/chains?outcome=failed&limit=3'\n  \
           countermand chain order-0050 --agent http://{address}\n\n",
        look.paint(Tone::Strong, "Countermand demo"),
        args.seed,
    )
}

/// The accounts, for people.
pub(super) fn table(account: &Account, counts: Counts, look: Look) -> String {
    let mut out = String::from("\n");
    let Account { orders, delivered, failed, undone, refused, .. } = account;
    out.push_str(&format!(
        "{orders} orders: {delivered} placed, {failed} failed. {undone} effects were taken back; {refused} came after that \
         and were refused.\n\n"
    ));
    let mut rows = Table::default();
    rows.row(vec![
        Cell::left(Tone::Dim, ""),
        Cell::right(Tone::Dim, "should be"),
        Cell::right(Tone::Dim, "is"),
        Cell::left(Tone::Dim, ""),
    ]);
    for item in &account.items {
        let shown = |amount: i64| if item.is_money { euros(amount) } else { whole(amount) };
        let (sign, tone) = if item.is_right() { (Sign::Good, Tone::Good) } else { (Sign::Bad, Tone::Bad) };
        rows.row(vec![
            Cell::left(Tone::Plain, item.what.clone()),
            Cell::right(Tone::Plain, shown(item.expected)),
            Cell::right(Tone::Plain, shown(item.found)),
            Cell::left(tone, look.sign(sign)),
        ]);
    }
    out.push_str(&rows.lines(look, 2));
    out.push('\n');
    for wrong in account.wrong.iter().take(MAX_WRONG) {
        out.push_str(&format!("  {} {wrong}\n", look.paint(Tone::Bad, look.sign(Sign::Bad))));
    }
    if account.wrong.len() > MAX_WRONG {
        out.push_str(&format!("  and {} more\n", account.wrong.len() - MAX_WRONG));
    }
    if counts.waiting > 0 {
        out.push_str(&format!("{} chains wait for approval.\n", counts.waiting));
    }
    if counts.stuck > 0 {
        out.push_str(&format!("{} chains need an operator.\n", counts.stuck));
    }
    if !account.fits(counts.failed) {
        out.push_str(&format!("The agent found {} failed chains, the shop {failed}.\n", counts.failed));
    }
    if is_right(account, counts) {
        out.push_str(&look.paint(Tone::Good, "Every unit of money and stock is accounted for."));
    } else {
        out.push_str(&look.paint(Tone::Bad, "Not everything is accounted for."));
    }
    out.push('\n');
    out
}

fn euros(cents: i64) -> String {
    format!("{}.{:02} €", whole(cents / 100), cents.rem_euclid(100))
}

fn whole(number: i64) -> String {
    let digits = grouped(number.unsigned_abs());
    if number < 0 { format!("-{digits}") } else { digits }
}

/// The accounts, for programs.
pub(super) fn to_json(args: &Args, run: &str, account: &Account, counts: Counts) -> serde_json::Value {
    let items: Vec<_> = account
        .items
        .iter()
        .map(
            |item| json!({"what": item.what, "expected": item.expected, "found": item.found, "right": item.is_right()}),
        )
        .collect();
    json!({
        "seed": args.seed,
        "orders": account.orders,
        "placed": account.delivered,
        "failed": account.failed,
        "run": run,
        "too_late": account.unsure,
        "failed_chains": counts.failed,
        "settled_chains": counts.settled,
        "awaiting_approval": counts.waiting,
        "needs_operator": counts.stuck,
        "undone": account.undone,
        "refused_late": account.refused,
        "items": items,
        "wrong": account.wrong,
        "accounted_for": is_right(account, counts),
    })
}
