//! Steps as inputs of an engine.

use super::language::{Act, RequestStep, ResponseStep, Step};
use crate::model::{
    CommandResult, DeadLetter, Fault, Input, Message, MessageKind, Operation, Party, Request, Response, Status,
};

/// The input of a step; `None` if only time passes. `command_id` is the command that it answers, or during whose
/// handling it was made.
#[must_use]
pub fn input<'a>(step: &'a Step, command_id: &'a str) -> Option<Input<'a>> {
    let message = |call_id, kind| Message { message_id: &step.id, chain_id: &step.chain, call_id, kind };
    Some(match &step.act {
        Act::Wait => return None,
        Act::Request(asked) => Input::Message(message(&asked.call, MessageKind::Request(request(asked, command_id)))),
        Act::Event(told) => Input::Message(message(&told.call, MessageKind::Event(request(told, command_id)))),
        Act::Response(answer) => Input::Message(message(&answer.call, MessageKind::Response(response(answer)))),
        Act::DeadLetter { letter, event, handled } => {
            let died = request(letter, command_id);
            let kind = if *event { MessageKind::Event(died) } else { MessageKind::Request(died) };
            Input::DeadLetter(DeadLetter { message: message(&letter.call, kind), handled: *handled })
        }
        Act::Result { state, .. } => Input::Result(CommandResult {
            command_id,
            chain_id: &step.chain,
            state: *state,
            reason: "",
            message: "",
            by: Party::default(),
        }),
        Act::Operator { verb, call } => Input::Operation(Operation {
            operation_id: &step.id,
            chain_id: &step.chain,
            call_id: call,
            verb: *verb,
            revision: 0,
            by: "scenario",
            reason: "",
        }),
    })
}

fn request<'a>(step: &'a RequestStep, command_id: &'a str) -> Request<'a> {
    Request {
        parent: &step.parent,
        source: step.from.party(),
        destination: step.to.party(),
        operation: &step.op,
        timeout: step.timeout,
        retry_of: &step.retry_of,
        compensates: &step.compensates,
        during: if step.during.is_empty() { "" } else { command_id },
        effect: step.effect.declaration(),
        attributes: (!step.attributes.is_empty()).then_some(&step.attributes),
        payload: None,
    }
}

fn response(step: &ResponseStep) -> Response<'_> {
    Response {
        by: step.by.party(),
        status: Status {
            code: step.code,
            reason: &step.reason,
            message: "",
            caused_by: &step.caused_by,
            fault: Fault::Callee,
        },
        effect: step.effect.declaration(),
        payload: None,
    }
}
