//! Which topics are read: at the start, where everything must be as configured, and later, where topics come and go.

use std::collections::BTreeSet;

use super::topics::TopicError;
use crate::{
    bus::{
        carried::UNDELIVERABLE,
        layout::{Layout, Role, Source, Topics},
    },
    policy::load::topic_pattern,
};

/// Finds among the topics there are what is read, and what is carried first.
///
/// # Errors
/// If a name or pattern names nothing, or if partition counts differ where they must not.
pub fn resolve(topics: &Topics, there: &[(String, i32)]) -> Result<Layout, TopicError> {
    let beside = beside(topics, there, |what, wanted| {
        // There may be none yet: frameworks make them when the first message dies.
        tracing::warn!(topics = wanted, "there is no such topic of {what} yet; it is read once it is there");
    })?;
    let inputs = inputs(topics, there)?;
    let Some(&first) = inputs.first() else { return Err(TopicError::NoInput(String::new())) };
    let own = own(topics);
    let own: Found<'_> = there.iter().filter(|(name, _)| own.contains(&name)).collect();
    let read = if topics.repartition { Found::new() } else { inputs.clone() };
    let equal: Vec<&(String, i32)> = read.into_iter().chain(own).collect();
    // Where inputs are carried their own numbers mean nothing: what stands already says how many engines there are.
    let most = inputs.iter().map(|(_, partitions)| *partitions).max().unwrap_or(first.1);
    let partitions = equal.first().map_or(most, |one| one.1);
    for &other in &equal {
        if other.1 != partitions {
            return Err(TopicError::Unequal { one: equal[0].clone(), other: other.clone() });
        }
    }
    Ok(laid_out(topics, inputs, beside, partitions))
}

/// Topics that were found, by name, each with its number of partitions.
type Found<'a> = BTreeSet<&'a (String, i32)>;

/// Those of the agent's own topics that its engines cannot do without.
fn own(topics: &Topics) -> Vec<&String> {
    let carried = topics.carries().then_some(&topics.rekeyed);
    [&topics.state, &topics.results, &topics.operations].into_iter().chain(carried).collect()
}

/// What is read of these topics, and what is carried first.
fn laid_out(topics: &Topics, inputs: Found<'_>, beside: Beside<'_>, partitions: i32) -> Layout {
    let source = |role| {
        move |(name, partitions): &(String, i32)| Source { topic: name.as_str().into(), role, partitions: *partitions }
    };
    let (read, carried) = if topics.repartition { (Found::new(), inputs) } else { (inputs, Found::new()) };
    let dead = beside.dead.into_iter().map(source(UNDELIVERABLE));
    let replies = beside.replies.into_iter().map(source(Role::Results));
    let sources = dead.chain(replies).chain(carried.into_iter().map(source(Role::Envelopes))).collect();
    Layout::new(read.iter().map(|(name, _)| name.as_str()), topics, partitions).carrying(sources, topics)
}

/// What is read beside inputs, and always carried to its chain.
pub(super) struct Beside<'a> {
    /// The dead-letter topics of services (S1.9).
    pub dead: Found<'a>,
    /// Where services that do not know commands reply (S5.2).
    pub replies: Found<'a>,
}

/// Finds what is read beside inputs; `missing` is told what should be in which topic, or pattern of topics, that is not there.
pub(super) fn beside<'a>(
    topics: &Topics,
    there: &'a [(String, i32)],
    mut missing: impl FnMut(&str, &str),
) -> Result<Beside<'a>, TopicError> {
    let mut found = |what: &str, wanted: &[String]| {
        all_matching(wanted, topics, there, |wanted| {
            missing(what, wanted);
            Ok(())
        })
    };
    let dead = found("dead letters", &topics.undeliverable)?;
    Ok(Beside { dead, replies: found("replies", &topics.replies)? })
}

/// The topics that the configured names and patterns of inputs stand for, by name.
///
/// # Errors
/// [`TopicError::NoInput`] if one names nothing, [`TopicError::BadPattern`].
pub(super) fn inputs<'a>(topics: &Topics, there: &'a [(String, i32)]) -> Result<Found<'a>, TopicError> {
    let mut inputs = all_matching(&topics.inputs, topics, there, |wanted| Err(TopicError::NoInput(wanted.to_owned())))?;
    without_others(&mut inputs, topics, there)?;
    Ok(inputs)
}

/// A pattern of inputs may match what is read beside them, too: these are no inputs. Returns them.
fn without_others<'a>(
    inputs: &mut Found<'a>,
    topics: &Topics,
    there: &'a [(String, i32)],
) -> Result<Beside<'a>, TopicError> {
    let beside = beside(topics, there, |_, _| {})?;
    inputs.retain(|input| !beside.dead.contains(input) && !beside.replies.contains(input));
    Ok(beside)
}

/// The topics that any of these names and patterns stands for; `missing` is told of each that stands for none.
fn all_matching<'a>(
    wanted: &[String],
    topics: &Topics,
    there: &'a [(String, i32)],
    mut missing: impl FnMut(&str) -> Result<(), TopicError>,
) -> Result<Found<'a>, TopicError> {
    let mut found = Found::new();
    for wanted in wanted {
        let matching = matching(wanted, topics, there)?;
        if matching.is_empty() {
            missing(wanted)?;
        }
        found.extend(matching);
    }
    Ok(found)
}

/// What a group goes on with that has worked before, as its state shows, although not all is there as it is configured; `None`:
/// it has not, or nothing is left to read, or its own topics do not fit each other.
#[must_use]
pub fn go_on(topics: &Topics, there: &[(String, i32)]) -> Option<(Layout, Vec<String>)> {
    let count = |own: &String| there.iter().find(|(name, _)| name == own).map(|(_, partitions)| *partitions);
    let partitions = count(&topics.state)?;
    let own = [&topics.results, &topics.operations, &topics.rekeyed];
    if own.into_iter().filter_map(count).any(|other| other != partitions) {
        return None;
    }
    let (layout, unread) = follow(topics, there, &Layout::new([], topics, partitions)).ok()?;
    let reads = layout.lanes.iter().any(|lane| lane.role == Role::Envelopes) || !layout.sources.is_empty();
    reads.then_some((layout, unread))
}

/// What an agent that runs reads now, and what it should read and cannot, each in a sentence. An input that is gone stops
/// nothing else, and neither does a new one that does not fit: of the others nothing depends on them. The agent's own topics
/// stay where they are, gone or not: without them it cannot work, and says so.
///
/// # Errors
/// [`TopicError::BadPattern`].
pub fn follow(topics: &Topics, there: &[(String, i32)], before: &Layout) -> Result<(Layout, Vec<String>), TopicError> {
    let mut unread = Vec::new();
    let mut inputs = all_matching(&topics.inputs, topics, there, |wanted| {
        unread.push(format!("topic {wanted:?} is gone"));
        Ok(())
    })?;
    let beside = without_others(&mut inputs, topics, there)?;
    for own in own(topics) {
        if !there.iter().any(|(name, _)| name == own) {
            unread.push(format!(
                "the agent's own topic {own:?} is gone: make it again, with {} partitions",
                before.partitions
            ));
        }
    }
    inputs.retain(|(name, partitions)| {
        // What is carried may have any number.
        let fits = topics.repartition || *partitions == before.partitions;
        if !fits {
            let all = before.partitions;
            unread.push(format!(
                "topic {name:?} has {partitions} partitions, and all others have {all}: chains are followed by partition number"
            ));
        }
        fits
    });
    let mut layout = laid_out(topics, inputs, beside, before.partitions);
    layout.newborn.clone_from(&before.newborn);
    Ok((layout, unread))
}

/// The topics that a configured name or pattern stands for.
fn matching<'a>(
    wanted: &str,
    topics: &Topics,
    there: &'a [(String, i32)],
) -> Result<Vec<&'a (String, i32)>, TopicError> {
    if !wanted.starts_with('^') {
        return Ok(there.iter().filter(|(name, _)| name == wanted).collect());
    }
    let pattern = topic_pattern(wanted).map_err(TopicError::BadPattern)?;
    let is_input = |name: &str| pattern.is_match(name) && !name.starts_with("__") && !topics.is_own(name);
    Ok(there.iter().filter(|(name, _)| is_input(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::{TopicError, Topics, follow, go_on, resolve};
    use crate::bus::layout::Role;

    fn topics(inputs: &[&str]) -> Topics {
        Topics { inputs: inputs.iter().map(|&name| name.to_owned()).collect(), ..Topics::under("c.") }
    }

    fn there(names: &[(&str, i32)]) -> Vec<(String, i32)> {
        names.iter().map(|&(name, partitions)| (name.to_owned(), partitions)).collect()
    }

    #[test]
    fn patterns_take_in_inputs_and_nothing_of_the_agents_own() {
        let there = there(&[("orders", 4), ("stock", 4), ("c.commands.stock", 4), ("c.events", 2), ("__offsets", 50)]);
        let layout = resolve(&topics(&["^.*"]), &there).unwrap();
        let lanes: Vec<_> = layout.lanes.iter().map(|lane| (&*lane.topic, lane.role)).collect();
        assert_eq!(
            lanes,
            [
                ("orders", Role::Envelopes),
                ("stock", Role::Envelopes),
                ("c.results", Role::Results),
                ("c.operations", Role::Operations)
            ]
        );
        assert_eq!(layout.partitions, 4);
    }

    #[test]
    fn a_pattern_matches_whole_names_whichever_alternative_comes_first() {
        let there = there(&[("a", 4), ("ab", 4), ("abc", 4), ("xab", 4)]);
        for pattern in ["^a|^ab", "^ab|^a", "^(a|ab)", "^ab?$", "^a|ab"] {
            let layout = resolve(&topics(&[pattern]), &there).unwrap();
            let inputs: Vec<&str> = layout.lanes.iter().map(|lane| &*lane.topic).take(2).collect();
            assert_eq!((inputs, layout.lanes.len()), (vec!["a", "ab"], 4), "{pattern}");
        }
    }

    #[test]
    fn unequal_counts_and_missing_inputs_are_refused() {
        let unequal = resolve(&topics(&["orders"]), &there(&[("orders", 4), ("c.results", 3)]));
        assert!(matches!(unequal, Err(TopicError::Unequal { .. })), "{unequal:?}");
        let missing = resolve(&topics(&["orders", "^order"]), &there(&[("orders", 4)]));
        assert_eq!(missing, Err(TopicError::NoInput("^order".to_owned())));
    }

    #[test]
    fn inputs_that_come_are_read_and_those_that_go_stop_nothing() {
        let topics = topics(&["^shop\\..*", "orders"]);
        let own = [("c.state", 4), ("c.results", 4), ("c.operations", 4)];
        let layout = resolve(&topics, &there(&[&own[..], &[("orders", 4), ("shop.stock", 4)]].concat())).unwrap();
        let inputs = |now: &[(&str, i32)]| {
            let (layout, unread) = follow(&topics, &there(&[&own[..], now].concat()), &layout).unwrap();
            let names = layout.lanes.iter().filter(|lane| lane.role.is_input()).map(|lane| lane.topic.to_string());
            (names.collect::<Vec<_>>(), unread)
        };
        let all = ["orders", "shop.paid", "shop.stock"].map(str::to_owned).to_vec();
        assert_eq!(inputs(&[("orders", 4), ("shop.stock", 4), ("shop.paid", 4)]), (all, Vec::new()));
        let (read, unread) = inputs(&[("shop.stock", 4), ("shop.odd", 3)]);
        assert_eq!((read, unread.len()), (vec!["shop.stock".to_owned()], 2), "{unread:?}");
        assert!(unread[0].contains("\"orders\" is gone") && unread[1].contains("\"shop.odd\" has 3"), "{unread:?}");
        // A start goes on as the agent would have gone on by itself, but for a group that never worked.
        let odd = [&own[..], &[("shop.stock", 4), ("shop.odd", 3)]].concat();
        assert!(resolve(&topics, &there(&odd)).is_err());
        assert_eq!(go_on(&topics, &there(&odd)), Some(follow(&topics, &there(&odd), &layout).unwrap()));
        assert_eq!(go_on(&topics, &there(&odd[1..])), None);
        assert_eq!(go_on(&topics, &there(&own)), None);
        let (gone, unread) = follow(&topics, &there(&[("orders", 4), ("shop.stock", 4)]), &layout).unwrap();
        assert_eq!((&gone.lanes, unread.len()), (&layout.lanes, 3), "{unread:?}");
    }
}
