//! The books of a service, in the store of its participant: accounts, and amounts that move between two of them. What
//! leaves one account arrives in the other, so the sum of all is always the same, and whatever an undo forgets or repeats
//! shows in a single account.

use super::order::Moved;
use crate::participant::{MemoryStore, MemoryTx};

/// A service's store: its own rows, and the kit's barrier beside them.
pub type Books = MemoryStore<Row, i64>;

/// A transaction on it.
pub type BooksTx<'s> = MemoryTx<'s, Row, i64>;

/// What a number stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// What is in the account of that name.
    Account(String),
    /// How often the order of that chain is in the books.
    Order(String),
    /// Effects that were taken back.
    TakenBack,
}

/// Moves an amount. Tells whether there was enough of it; nothing is moved otherwise.
pub fn move_over(books: &mut BooksTx<'_>, Moved { from, to, amount }: &Moved) -> bool {
    let (from, to) = (Row::Account(from.clone()), Row::Account(to.clone()));
    if books.get(&from).copied().unwrap_or(0) < *amount {
        return false;
    }
    add(books, from, -amount);
    add(books, to, *amount);
    true
}

/// Adds to a row.
pub fn add(books: &mut BooksTx<'_>, row: Row, more: i64) {
    let there = books.get(&row).copied().unwrap_or(0);
    books.put(row, there + more);
}

/// What is in a row.
#[must_use]
pub fn value(books: &Books, row: &Row) -> i64 {
    books.read(|rows| rows.get(row).copied().unwrap_or(0))
}

/// The sum of all accounts.
#[must_use]
pub fn sum(books: &Books) -> i64 {
    books.read(|rows| rows.iter().filter(|(row, _)| matches!(row, Row::Account(_))).map(|(_, amount)| amount).sum())
}

/// The number of orders that are in the books.
#[must_use]
pub fn orders(books: &Books) -> i64 {
    books.read(|rows| rows.iter().filter(|(row, _)| matches!(row, Row::Order(_))).map(|(_, times)| times).sum())
}
