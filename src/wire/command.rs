//! The model's command to `Command` (S5.9).

use super::{
    proto::{self, Any, Content, Party, Reference},
    time::timestamp_of,
    words::number,
};
use crate::model::{self, Command, Position};

/// The command as it is published. `place` names the topic, partition and offset of a position: the engine knows lanes
/// by number only.
#[must_use]
pub fn command(command: &Command, place: &dyn Fn(Position) -> Reference) -> proto::Command {
    let content = |content: &Option<model::Content>| content.as_ref().map(|content| self::content(content, place));
    proto::Command {
        command_id: command.command_id.clone(),
        chain_id: command.chain_id.clone(),
        call_id: command.call_id.clone(),
        action: number::<_, proto::Action>(command.action),
        target: Some(Party {
            service: command.service.clone(),
            version: command.version.clone(),
            instance: command.instance.clone(),
        }),
        operation: command.operation.clone(),
        certainty: number::<_, proto::Certainty>(command.certainty),
        wave: command.wave,
        generation: command.generation,
        attempt: command.attempt,
        issued_at: Some(timestamp_of(command.issued_at.0)),
        answer_by: Some(timestamp_of(command.answer_by.0)),
        request: content(&command.request),
        response: content(&command.response),
        compensation: content(&command.compensation),
        call_operation: command.call_operation.clone(),
        attributes: command.attributes.clone(),
        route: command.route.clone(),
        headers: command.headers.clone(),
        verdict: Some(proto::CommandVerdict { revision: command.revision, sentence: command.verdict.clone() }),
        ..Default::default()
    }
}

fn content(content: &model::Content, place: &dyn Fn(Position) -> Reference) -> Content {
    match content {
        model::Content::Whole { type_url, value } => {
            let payload = Any { type_url: type_url.clone(), value: value.clone().into() };
            Content { payload: Some(payload), reference: None }
        }
        model::Content::Reference(moment) => Content { payload: None, reference: Some(place(moment.position)) },
    }
}
