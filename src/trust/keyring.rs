//! The keys that are known, and whom each belongs to (S8.1).

use std::collections::HashMap;

use super::{Check, Distrust, Kind, Seal};
use crate::{model::BusTime, policy::load::Owner};

/// A key that is known.
#[derive(Debug, Clone)]
pub struct Key {
    /// Whom it belongs to.
    pub owner: Owner,
    /// What its signatures are checked with.
    pub check: Check,
    /// It is valid from here on; `None`: always was.
    pub not_before: Option<BusTime>,
    /// It is valid until here; `None`: for good.
    pub not_after: Option<BusTime>,
}

impl Key {
    /// A key that is always valid.
    #[must_use]
    pub fn of(owner: Owner, check: Check) -> Self {
        Self { owner, check, not_before: None, not_after: None }
    }

    fn is_valid(&self, at: BusTime) -> bool {
        self.not_before.is_none_or(|from| at >= from) && self.not_after.is_none_or(|until| at <= until)
    }

    fn is_of(&self, holder: Holder<'_>) -> bool {
        match (&self.owner, holder) {
            (Owner::Service(own), Holder::Service(service)) => own == service,
            (Owner::Operator(None), Holder::Operator(_)) => true,
            (Owner::Operator(Some(own)), Holder::Operator(name)) => own == name,
            _ => false,
        }
    }
}

/// Who has to have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// A service.
    Service(&'a str),
    /// An operator, or whoever signs for operators.
    Operator(&'a str),
}

/// All keys that are known, by their ids. Several of one owner are valid side by side, so that one can take over from
/// another.
#[derive(Debug, Clone, Default)]
pub struct Keyring(HashMap<String, Key>);

impl Keyring {
    /// Adds a key. False: there is one of that id, and it stays.
    pub fn add(&mut self, id: &str, key: Key) -> bool {
        let is_new = !self.0.contains_key(id);
        if is_new {
            self.0.insert(id.to_owned(), key);
        }
        is_new
    }

    /// Whether `holder` signed these bytes with a key that was valid at `at`.
    ///
    /// # Errors
    /// Why that is not believed.
    pub fn check(
        &self,
        kind: Kind,
        holder: Holder<'_>,
        at: BusTime,
        payload: &[u8],
        header: Option<&[u8]>,
    ) -> Result<(), Distrust> {
        let seal = Seal::read(header.ok_or(Distrust::Unsigned)?).ok_or(Distrust::Forged)?;
        let key = self.0.get(&seal.key_id).ok_or(Distrust::UnknownKey)?;
        if !key.is_of(holder) {
            return Err(Distrust::WrongSigner);
        }
        if !key.is_valid(at) {
            return Err(Distrust::ExpiredKey);
        }
        if key.check.is_of(kind, &seal, payload) { Ok(()) } else { Err(Distrust::Forged) }
    }
}
