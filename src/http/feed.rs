//! `GET /v1/events`: changes in chains' lives as they are published, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{api::Api, problem::Problem};
use crate::{agent::news::News, wire};

/// Events that wait for a slow connection, beside those that the newsroom keeps for it.
const WAITING: usize = 64;

/// Between two signs of life where nothing happens.
const ALIVE: Duration = Duration::from_secs(15);

/// Answers with what comes from now on, or after the event that `Last-Event-ID` names. The data is the event in protobuf's
/// JSON; `missed` says that some were lost to a listener that did not keep up, or that came back too late.
pub(super) async fn events(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let Ok(place) = api.listeners.clone().try_acquire_owned() else {
        return Err(Problem::unavailable("too many listen already"));
    };
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse::<u64>().ok());
    let (missed, mut feed) = api.shared.news.listen(after);
    let (tell, told) = mpsc::channel::<Result<Event, Infallible>>(WAITING);
    let mut ends = api.ends.clone();
    tokio::spawn(async move {
        let _place = place;
        let gap = after.zip(missed.first()).is_some_and(|(after, first)| first.number > after + 1);
        if gap && tell.send(Ok(lost())).await.is_err() {
            return;
        }
        for news in &missed {
            if tell.send(Ok(event(news))).await.is_err() {
                return;
            }
        }
        loop {
            let next = tokio::select! {
                next = feed.recv() => next,
                () = tell.closed() => return,
                // The agent ends, and does not wait for those who listen.
                _ = ends.changed() => return,
            };
            let event = match next {
                Ok(news) => event(&news),
                Err(RecvError::Lagged(_)) => lost(),
                Err(RecvError::Closed) => return,
            };
            if tell.send(Ok(event)).await.is_err() {
                return;
            }
        }
    });
    let stream = ReceiverStream::new(told);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

fn event(news: &News) -> Event {
    let kind = news.event.kind().as_str_name().trim_start_matches("CHAIN_EVENT_KIND_").to_ascii_lowercase();
    let data = wire::to_json(&*news.event).map_or_else(|_| "{}".to_owned(), |json| json.to_string());
    Event::default().id(news.number.to_string()).event(kind).data(data)
}

fn lost() -> Event {
    Event::default().event("missed").data("{}")
}
