//! What a chain is meant to be: services, who calls whom, and what befalls each.

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It works if all that it needs works.
    Works,
    /// It does its work and then fails with this reason.
    Fails(&'static str),
    /// It never answers.
    Hangs,
    /// The first attempt fails, the second works.
    WorksOnRetry(&'static str),
}

/// One call and those inside it.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Service that is called.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Operation that is called.
    pub operation: String,
    /// Operation that undoes it; `None`: it has no effect.
    pub undo: Option<String>,
    /// Its undo takes an effect in doubt.
    pub accepts_in_doubt: bool,
    /// Time limit of the caller, in milliseconds.
    pub timeout: Option<u64>,
    /// Its own work, in milliseconds: spread over before, between and after the calls inside it.
    pub work: u64,
    /// What befalls it.
    pub fate: Fate,
    /// It goes on if a call inside it fails.
    pub tolerates: bool,
    /// The calls inside it are made side by side.
    pub parallel: bool,
    /// It is a one-way event: nobody answers it or waits for it.
    pub event: bool,
    /// The calls inside it.
    pub inside: Vec<Spec>,
}

impl Spec {
    /// A call that works, takes 5 ms, and changes nothing.
    #[must_use]
    pub fn new(service: &str, version: &str, operation: &str) -> Self {
        Self {
            service: service.to_owned(),
            version: version.to_owned(),
            operation: operation.to_owned(),
            undo: None,
            accepts_in_doubt: false,
            timeout: None,
            work: 5,
            fate: Fate::Works,
            tolerates: false,
            parallel: false,
            event: false,
            inside: Vec::new(),
        }
    }

    /// The same with an effect that `operation` undoes.
    #[must_use]
    pub fn undone_by(mut self, operation: &str) -> Self {
        self.undo = Some(operation.to_owned());
        self
    }

    /// The same with a time limit in milliseconds.
    #[must_use]
    pub fn within(mut self, ms: u64) -> Self {
        self.timeout = Some(ms);
        self
    }

    /// The same with work of so many milliseconds.
    #[must_use]
    pub fn taking(mut self, ms: u64) -> Self {
        self.work = ms;
        self
    }

    /// The same with that fate.
    #[must_use]
    pub fn that(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    /// The same with these calls inside it.
    #[must_use]
    pub fn calling(mut self, inside: Vec<Self>) -> Self {
        self.inside = inside;
        self
    }

    /// Calls in all, attempts not counted.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + self.inside.iter().map(Self::size).sum::<usize>()
    }
}
