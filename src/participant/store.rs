//! Where a participant remembers: its own database, in the transaction of its business change.

use bytes::Bytes;

use super::record::{EffectKey, Record};

/// The service's own store. One value is one connection: each thread has its own.
///
/// Over SQL, each method of [`Transaction`] is a statement or two; `docs/participants.md` has them.
pub trait Store {
    /// What the store fails with.
    type Error: std::error::Error + 'static;
    /// An open transaction, in which the service makes its own changes too. Dropped without a commit it is rolled back.
    type Tx<'s>: Transaction<Error = Self::Error>
    where
        Self: 's;

    /// Opens a transaction. In SQL `READ COMMITTED` is enough; under a stricter level one of two transactions about the
    /// same effect fails, and its message has to be handled again.
    ///
    /// # Errors
    /// The store's own.
    fn begin(&mut self) -> Result<Self::Tx<'_>, Self::Error>;
}

/// The barrier inside a transaction.
pub trait Transaction {
    /// What the store fails with.
    type Error: std::error::Error + 'static;

    /// Inserts `fresh` under `key`, or gives back the row that is there. Either way nobody else gets past this call for
    /// the same key until this transaction ends: that is what the barrier rests on. (SQL: insert under the primary key,
    /// and if that inserts nothing, `SELECT .. FOR UPDATE`.)
    ///
    /// # Errors
    /// The store's own.
    fn claim(&mut self, key: &EffectKey, fresh: &Record) -> Result<Option<Record>, Self::Error>;

    /// Writes the row, which was claimed in this transaction.
    ///
    /// # Errors
    /// The store's own.
    fn update(&mut self, key: &EffectKey, record: &Record) -> Result<(), Self::Error>;

    /// What was answered to a command, as [`Transaction::remember`] got it.
    ///
    /// # Errors
    /// The store's own.
    fn answer(&mut self, command_id: &str) -> Result<Option<Bytes>, Self::Error>;

    /// Remembers what is answered to a command, at `at` in milliseconds since the Unix epoch. At most once for each id.
    ///
    /// # Errors
    /// The store's own.
    fn remember(&mut self, command_id: &str, answer: &[u8], at: i64) -> Result<(), Self::Error>;

    /// Rows that were last written before this time, in milliseconds since the Unix epoch, may have been deleted; `None`:
    /// none ever was. What is older is not answered as if it never was. Asked for after [`Transaction::claim`] found
    /// nothing: what another transaction deleted by then has to be accounted for.
    ///
    /// # Errors
    /// The store's own.
    fn forgotten_before(&mut self) -> Result<Option<i64>, Self::Error>;

    /// Makes all of it visible, the service's own changes too. An error leaves open whether it did: the message has to
    /// be handled again.
    ///
    /// # Errors
    /// The store's own.
    fn commit(self) -> Result<(), Self::Error>;
}
