//! S3: from the calls of a chain to its verdict. The picture is drawn from the set of messages alone (S1.1).

mod before;
mod explain;
mod groups;
mod hang;
mod links;
mod picture;
mod roots;
mod suspects;
mod tolerate;
mod verdict;

pub(super) use picture::{
    EventScope, Picture, Seen, Standing, State, Times, call_clock, consumers_of, key_text, stands_by_itself,
};
pub(super) use verdict::{Finding, find};
