//! Names from outside (services, versions, operations, reasons), kept once each and within a bound (S2.10).

use super::hash::QuickMap;

/// A name in a table of [`Names`]. The empty name is always there and means "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(u32);

impl Name {
    /// No name.
    pub const NONE: Self = Self(0);

    /// Whether this is no name.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The table is full: nothing more can be named before unused names are swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamesFull;

/// A bounded table of names. A name that no chain uses any more is freed by [`Names::sweep`].
#[derive(Debug)]
pub struct Names {
    texts: Vec<Option<Box<str>>>,
    index: QuickMap<Box<str>, u32>,
    free: Vec<u32>,
    limit: usize,
    limit_bytes: usize,
    bytes: usize,
}

/// What a name takes beside its text, which is kept twice: two texts' heads, its number, and room to spare.
const NAME_BYTES: usize = 64;

fn bytes_of(text: &str) -> usize {
    2 * text.len() + NAME_BYTES
}

impl Names {
    /// A table of at most `limit` names in at most `limit_bytes`.
    #[must_use]
    pub fn new(limit: usize, limit_bytes: usize) -> Self {
        Self {
            texts: vec![Some("".into())],
            index: QuickMap::default(),
            free: Vec::new(),
            limit: limit.clamp(1, u32::MAX as usize - 1),
            limit_bytes,
            bytes: 0,
        }
    }

    /// The name for `text`, made if need be.
    ///
    /// # Errors
    /// [`NamesFull`] if it would be one more than the limit.
    pub fn intern(&mut self, text: &str) -> Result<Name, NamesFull> {
        if text.is_empty() {
            return Ok(Name::NONE);
        }
        if let Some(&n) = self.index.get(text) {
            return Ok(Name(n));
        }
        if self.index.len() >= self.limit || self.bytes + bytes_of(text) > self.limit_bytes {
            return Err(NamesFull);
        }
        let kept: Box<str> = text.into();
        let n = match self.free.pop() {
            Some(n) => {
                self.texts[n as usize] = Some(kept.clone());
                n
            }
            None => {
                self.texts.push(Some(kept.clone()));
                u32::try_from(self.texts.len() - 1).map_err(|_| NamesFull)?
            }
        };
        self.bytes += bytes_of(text);
        self.index.insert(kept, n);
        Ok(Name(n))
    }

    /// The name for `text`, if it has one.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Name> {
        if text.is_empty() {
            return Some(Name::NONE);
        }
        self.index.get(text).map(|&n| Name(n))
    }

    /// The text of a name.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).and_then(Option::as_deref).unwrap_or("")
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes that they take (S2.10).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets every name that `used` does not hold. The caller marks what chains and caches still refer to.
    pub fn sweep(&mut self, used: &dyn Fn(Name) -> bool) {
        for n in 1..self.texts.len() {
            let Ok(short) = u32::try_from(n) else { break };
            if used(Name(short)) {
                continue;
            }
            if let Some(text) = self.texts[n].take() {
                self.bytes -= bytes_of(&text);
                self.index.remove(&text);
                self.free.push(short);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, Names, NamesFull};

    #[test]
    fn a_full_table_refuses_until_it_is_swept() {
        let mut names = Names::new(2, 1_000);
        let a = names.intern("a").unwrap();
        let b = names.intern("b").unwrap();
        assert_eq!(names.intern("c"), Err(NamesFull));
        assert_eq!(names.intern("a"), Ok(a));
        assert_eq!(names.intern(""), Ok(Name::NONE));
        names.sweep(&|n| n == b);
        assert_eq!(names.find("a"), None);
        let c = names.intern("c").unwrap();
        assert_eq!((names.text(b), names.text(c)), ("b", "c"));
        names.sweep(&|_| false);
        assert_eq!((names.bytes(), names.intern(&"d".repeat(500))), (0, Err(NamesFull)), "its text is too long");
    }
}
