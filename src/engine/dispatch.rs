//! S5.2, S5.9: commands as they are written.

use std::collections::BTreeMap;

use super::{
    Engine,
    call::{Begun, Content as Kept},
    chain::Chain,
    change,
    command::{Dispatch, answer_within, pump},
    decide,
    decided::{CallKey, Decided, Item},
    judge::{Picture, Seen, State},
    plan::{CompensationOf, compensation_of, compensation_sent, key_of, policy_of, sharing},
};
use crate::model::{
    Action, BusTime, ChainChange, Command, CommandAction, Content, HostTime, Moment, Name, PlanItemState, Slot, Span,
    command_id,
};

impl Engine {
    /// Lets go what may go now, but for what is being undone by its own service, which is let finish (S4.8).
    pub(super) fn let_go(&self, chain: &mut Chain) -> Vec<Dispatch> {
        if !anything_waits(chain) {
            return Vec::new();
        }
        let clocks = self.clocks(chain);
        let Some(mut decided) = chain.decided.take() else { return Vec::new() };
        let picture = self.picture_with(chain, &decided.items);
        let being_undone = self.being_undone(&picture);
        let settings = &self.policies.policy().settings;
        let silence = |item: &Item| self.silence_of(&picture, item);
        let dispatches = pump(&mut decided, settings, clocks, |call| being_undone.contains(&call), silence);
        chain.decided = Some(decided);
        dispatches
    }

    /// The picture of a chain whose plan was taken out, with the `items` of that.
    pub(super) fn picture_with<'c>(&'c self, chain: &'c Chain, items: &[Item]) -> Picture<'c> {
        let now = decide::Now { lanes: &self.lanes, as_of: BusTime::MAX };
        Picture::draw_as_of(chain, &self.names, &self.policies, now, items)
    }

    /// Settles what is sent and where to, for what waits.
    pub(super) fn prepare(&self, chain: &mut Chain) {
        if !anything_waits(chain) {
            return;
        }
        let Some(mut decided) = chain.decided.take() else { return };
        let picture = self.picture_with(chain, &decided.items);
        self.name_operations(&picture, &mut decided);
        self.route(&picture, &mut decided);
        drop(picture);
        chain.decided = Some(decided);
    }

    /// Settles which operation undoes each waiting effect that was never sent, and which asks for it first. One that an
    /// operator confirmed may have none: a person is still needed (S4.6).
    fn name_operations(&self, picture: &Picture<'_>, decided: &mut Decided) {
        let undo = |item: &&mut Item| item.action == CommandAction::Undo && item.state == PlanItemState::Waiting;
        for item in decided.items.iter_mut().filter(undo).filter(|item| item.sending.sends == 0) {
            let Some(n) = picture.find(item.call) else { continue };
            let policy = policy_of(picture, &self.policies, &picture.calls[n]);
            let compensation = compensation_of(picture, n, &policy);
            item.operation = compensation.and_then(|compensation| Item::named(compensation.operation()));
            if item.inquiry.is_some_and(|inquiry| inquiry.sends == 0) {
                item.asks = compensation.and_then(|compensation| Item::named(compensation.inquire_operation()));
            }
            if item.operation.is_none() {
                item.cannot_be_undone();
            }
        }
    }

    /// Calls whose own undo is under way. One without a time limit is waited for as long as a chain without one.
    fn being_undone(&self, picture: &Picture<'_>) -> Vec<CallKey> {
        let patience = decide::max_age(picture.chain, &self.names, &self.policies);
        let undoing = picture.calls.iter().filter(|seen| seen.state == State::Open);
        let targets = undoing.filter_map(|seen| {
            let in_time = |begun: &&Begun| self.lanes.stream(begun.stamp.lane()) < begun.stamp.at.plus(patience);
            let begun = seen.begun.filter(|begun| seen.times.deadline.is_some() || in_time(begun))?;
            let target = begun.more.as_ref()?.compensates.as_ref()?;
            picture.find_id(&target.text())
        });
        // Whoever undoes the effect of one call undoes it for all that share it (S4.5).
        targets.flat_map(|n| sharing(picture, n).chain([n])).map(|n| picture.calls[n].key).collect()
    }

    /// Writes the commands that are due.
    pub(super) fn write_commands(&self, chain: &mut Chain, dispatches: &[Dispatch], actions: &mut Vec<Action>) {
        let Some(mut decided) = chain.decided.take_if(|_| !dispatches.is_empty()) else { return };
        let picture = self.picture_with(chain, &decided.items);
        let verdict = decided.verdict.as_ref().map_or_else(String::new, |verdict| verdict.sentence.clone());
        for dispatch in dispatches {
            let item = &mut decided.items[dispatch.item];
            let Some(n) = picture.find(item.call) else {
                item.cannot_be_written();
                continue;
            };
            let mut command = self.command(&picture, n, item, dispatch.action);
            command.revision = decided.revision;
            command.verdict.clone_from(&verdict);
            if self.speak(&picture, item, &mut command).is_err() {
                item.cannot_be_written();
                continue;
            }
            if command.attempt == 1 {
                actions.push(change(
                    command.chain_id.as_str(),
                    self.lanes.host.as_bus(),
                    ChainChange::UndoStarted {
                        call_id: command.call_id.clone(),
                        command_id: command.command_id.clone(),
                    },
                ));
            }
            actions.push(Action::Command(Box::new(command)));
        }
        drop(picture);
        chain.decided = Some(decided);
    }

    /// What came due while nothing was said against it is done: its silence was the answer.
    pub(super) fn say_unopposed(&self, chain: &Chain, unopposed: &[usize], at: BusTime, actions: &mut Vec<Action>) {
        let Some(decided) = chain.decided.as_ref() else { return };
        let chain_id = chain.id.text();
        for item in unopposed.iter().map(|&n| &decided.items[n]) {
            let call_id = super::judge::key_text(chain, &self.names, item.call);
            let command_id = command_id(&chain_id, &call_id, item.action, item.generation);
            actions.push(change(&*chain_id, at, ChainChange::Answered { call_id, command_id, state: "silence" }));
        }
    }

    pub(super) fn command(&self, picture: &Picture<'_>, n: usize, item: &Item, action: CommandAction) -> Command {
        let seen = &picture.calls[n];
        let chain_id = picture.chain.id.text().into_owned();
        let call_id = picture.id(n);
        let policy = policy_of(picture, &self.policies, seen);
        let compensation = compensation_sent(picture, n, &policy, item.operation.as_deref());
        let settings = &self.policies.policy().settings;
        let limit = settings.limits.command_bytes;
        let text = |name| self.names.text(name).to_owned();
        let sending = if action == CommandAction::Inquire { item.inquiry.unwrap_or_default() } else { item.sending };
        let host = self.lanes.host;
        let more = seen.begun.and_then(|begun| begun.more.as_ref());
        let response = seen.answers.iter().find(|answer| answer.code == super::call::AnswerCode::Ok);
        let response = response.or_else(|| seen.answers.first());
        // What was declared since it was first sent does not lead it elsewhere (S5.15).
        let (route, headers) = Some(route_of(compensation.as_ref()))
            .filter(|(route, _)| {
                self.policies.policy().catalogue.leads(route, || compensation.is_some_and(|it| it.is_envelope()))
            })
            .unwrap_or_default();
        let operation = seen.begun.map_or(Name::NONE, |begun| begun.operation);
        let instance = seen.begun.map_or(Name::NONE, |begun| begun.instance);
        Command {
            command_id: command_id(&chain_id, &call_id, action, item.generation),
            operation: operation_of(item, action, &text(operation)),
            call_operation: text(operation),
            key: key_of(seen).to_owned(),
            requested_at: seen.begun.map(|begun| begun.stamp.at),
            service: text(seen.service()),
            version: text(seen.version()),
            instance: text(instance),
            action,
            certainty: item.certainty,
            wave: item.wave,
            generation: item.generation,
            attempt: sending.sends,
            issued_at: host,
            answer_by: answer_by(host, answer_within(item, action, settings)),
            request: seen
                .begun
                .map(|begun| content(more.and_then(|more| more.payload.as_deref()), begun.stamp.moment(), limit)),
            response: response.map(|answer| {
                content(answer.more.as_ref().and_then(|m| m.payload.as_deref()), answer.stamp.moment(), limit)
            }),
            compensation: compensation_payload(seen, compensation.as_ref(), limit),
            route,
            headers,
            message: None,
            attributes: more.map(|more| more.attributes.clone()).unwrap_or_default(),
            revision: 0,
            verdict: String::new(),
            chain_id,
            call_id,
        }
    }

    /// After an answer or an operator's word: `settles` an effect in doubt, which changes the plan; else only the commands
    /// go on.
    pub(super) fn replan_after_word(&mut self, slot: Slot, at: BusTime, settles: bool, actions: &mut Vec<Action>) {
        if settles {
            self.rejudge(slot, at, self.lanes.newest(), actions);
        } else {
            actions.push(Action::Save(slot));
        }
        self.go_on(slot, at, actions);
    }
}

fn anything_waits(chain: &Chain) -> bool {
    let waiting = |item: &Item| item.state == PlanItemState::Waiting;
    chain.decided.as_ref().is_some_and(|decided| decided.items.iter().any(waiting))
}

fn answer_by(host: HostTime, within: Span) -> HostTime {
    host.plus(within)
}

/// Topic and headers that a compensation asks for; an empty topic is the service's usual one.
pub(super) fn route_of(compensation: Option<&CompensationOf<'_>>) -> (String, BTreeMap<String, String>) {
    match compensation {
        Some(CompensationOf::Declared(declared)) => (declared.route().to_owned(), declared.headers()),
        Some(CompensationOf::Rule(rule)) => (rule.route.clone(), rule.headers.clone()),
        None => (String::new(), BTreeMap::new()),
    }
}

/// As it was named before it was first sent. `own`: the operation of the call itself.
fn operation_of(item: &Item, action: CommandAction, own: &str) -> String {
    let named = |operation: &Option<Box<str>>| operation.as_deref().unwrap_or_default().to_owned();
    match action {
        CommandAction::Retry => own.to_owned(),
        CommandAction::Inquire => named(&item.asks),
        CommandAction::Undo => named(&item.operation),
    }
}

/// A payload, or where it is if it was not kept or is too large for a command.
fn content(payload: Option<&Kept>, at: Moment, limit: usize) -> Content {
    match payload {
        Some(payload) if payload.value.len() <= limit => {
            Content::Whole { type_url: payload.type_url.to_string(), value: payload.value.to_vec() }
        }
        _ => Content::Reference(at),
    }
}

fn compensation_payload(seen: &Seen<'_>, compensation: Option<&CompensationOf<'_>>, limit: usize) -> Option<Content> {
    let Some(CompensationOf::Declared(declared)) = compensation else { return None };
    let at = seen.begun?.stamp.moment();
    declared.payload().map(|payload| content(Some(payload), at, limit))
}
