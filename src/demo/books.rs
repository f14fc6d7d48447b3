//! The books of a service: accounts, and amounts that move between two of them. What leaves one account arrives in the
//! other, so the sum of all is always the same, and whatever an undo forgets or repeats shows in a single account.

use std::collections::BTreeMap;

/// Accounts with their balances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    accounts: BTreeMap<String, i64>,
}

impl Books {
    /// Books that begin with `amount` in one account.
    #[must_use]
    pub fn with(account: &str, amount: i64) -> Self {
        Self { accounts: [(account.to_owned(), amount)].into() }
    }

    /// Moves an amount. Tells whether there was enough of it; nothing is moved otherwise.
    pub fn move_over(&mut self, from: &str, to: &str, amount: i64) -> bool {
        let there = self.balance(from);
        if there < amount {
            return false;
        }
        self.accounts.insert(from.to_owned(), there - amount);
        *self.accounts.entry(to.to_owned()).or_default() += amount;
        true
    }

    /// What is in an account.
    #[must_use]
    pub fn balance(&self, account: &str) -> i64 {
        self.accounts.get(account).copied().unwrap_or(0)
    }

    /// The sum of all accounts.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.accounts.values().sum()
    }
}
