//! S2.1, S3.1: how a call ended, judged by bus times alone.

use countermand::model::{BusTime, Span, StatusCode};

use super::graph::{Call, Form};

/// How a call ended, as far as time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its request never came.
    Half,
    /// Not yet.
    Open,
    /// By this answer of its answers.
    Answered(usize),
    /// A one-way event on which nobody reported: answered when published (S1.7).
    Published,
    /// It ended at its deadline, without the grace.
    TimedOut(BusTime),
}

/// What will become of a call if nothing more is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Half,
    /// Nothing ends it (S2.2).
    Forever,
    Answered(usize),
    Published,
    /// It times out at `due`; its end is then `deadline`.
    Deadline {
        deadline: BusTime,
        due: BusTime,
    },
}

/// S2.1: an `ONGOING` restarts the clock at its own bus time; an answer within timeout and grace, the last instant
/// included, answers in time; a late one moves nothing.
pub fn fate(call: &Call, grace: Span) -> Fate {
    let Some(begin) = call.begin() else { return Fate::Half };
    let mut deadline = call.timeout.map(|timeout| begin.at.plus(timeout));
    let mut said: Vec<usize> = (0..call.said.len()).collect();
    said.sort_by_key(|index| call.said[*index].moment);
    for index in said {
        let answer = &call.said[index];
        if deadline.is_some_and(|deadline| answer.moment.at > deadline.plus(grace)) {
            break;
        }
        if answer.is_final() {
            return Fate::Answered(index);
        }
        let restarted = call.timeout.map(|timeout| answer.moment.at.plus(timeout));
        deadline = deadline.max(restarted);
    }
    match deadline {
        _ if call.form == Form::Event => Fate::Published,
        Some(deadline) => Fate::Deadline { deadline, due: deadline.plus(grace) },
        None => Fate::Forever,
    }
}

/// S2.1: how it ended by the stream time of the partition of its request.
pub fn end(call: &Call, grace: Span, stream: BusTime) -> End {
    match fate(call, grace) {
        Fate::Half => End::Half,
        Fate::Forever => End::Open,
        Fate::Answered(index) => End::Answered(index),
        Fate::Published => End::Published,
        Fate::Deadline { deadline, due } if due <= stream => End::TimedOut(deadline),
        Fate::Deadline { .. } => End::Open,
    }
}

impl End {
    /// S3.1: answered `FAILED`, `UNKNOWN` or `CANCELLED`, dead, or timed out.
    pub fn failed(self, call: &Call) -> bool {
        match self {
            Self::Answered(index) => call.said[index].code != Some(StatusCode::Ok),
            Self::TimedOut(_) => true,
            Self::Half | Self::Open | Self::Published => false,
        }
    }

    /// S3.1: answered `OK` in time.
    pub fn succeeded(self, call: &Call) -> bool {
        match self {
            Self::Answered(index) => call.said[index].code == Some(StatusCode::Ok),
            Self::Published => true,
            Self::Half | Self::Open | Self::TimedOut(_) => false,
        }
    }
}
