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

use super::{
    api::{Api, MAX_LISTENERS},
    problem::Problem,
};
use crate::{
    agent::news::{Heard, Listening, News},
    wire,
};

/// Events that wait for a slow connection, beside those that the newsroom keeps for it.
const WAITING: usize = 64;

/// Between two signs of life where nothing happens.
const ALIVE: Duration = Duration::from_secs(15);

/// Answers with what comes from now on, or after the event that `Last-Event-ID` names, whichever instance gave it that id.
/// The data is the event in protobuf's JSON; `cut` says that some are lost: to a listener that did not keep up, that came
/// back too late, or that bears the id of another bus.
pub(super) async fn events(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let Ok(place) = api.listeners.clone().try_acquire_owned() else {
        let detail = format!("{MAX_LISTENERS} listen already");
        return Err(Problem::unavailable(detail, "ask another instance: each tells what all of them publish"));
    };
    let after = headers.get("last-event-id").map(|id| id.to_str().ok().and_then(Heard::read));
    // Before that nobody knows what is missed.
    let (mut ends, news) = (api.ends.clone(), &api.shared.news);
    tokio::select! {
        () = news.standing() => {}
        _ = ends.changed() => return Err(Problem::unavailable("the agent ends", "ask another instance")),
    }
    let listening = match &after {
        Some(Some(heard)) => news.listen(Some(heard)),
        Some(None) => Listening { cut: true, ..news.listen(None) },
        None => news.listen(None),
    };
    let (tell, told) = mpsc::channel::<Result<Event, Infallible>>(WAITING);
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            _ = pass_on(listening, &tell) => {}
            () = tell.closed() => {}
            // The agent ends, and does not wait for those who listen.
            _ = ends.changed() => {}
        }
    });
    let stream = ReceiverStream::new(told);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

type Tell = mpsc::Sender<Result<Event, Infallible>>;

/// Until the listener has gone, or nothing more will come.
async fn pass_on(listening: Listening, tell: &Tell) -> Option<()> {
    let Listening { cut, mut heard, missed, mut feed } = listening;
    if cut {
        tell.send(Ok(lost("what came before is no longer kept"))).await.ok()?;
    }
    for news in &missed {
        heard.note(news);
        tell.send(Ok(event(news, &heard))).await.ok()?;
    }
    loop {
        match feed.recv().await {
            Ok(news) if heard.note(&news) => tell.send(Ok(event(&news, &heard))).await.ok()?,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => tell.send(Ok(lost("they came faster than they were read"))).await.ok()?,
            Err(RecvError::Closed) => return None,
        }
    }
}

/// An event. Its id says how far its listener has heard with it.
fn event(news: &News, heard: &Heard) -> Event {
    let kind = news.event.kind().as_str_name().trim_start_matches("CHAIN_EVENT_KIND_").to_ascii_lowercase();
    let data = wire::to_json(&*news.event).map_or_else(|_| "{}".to_owned(), |json| json.to_string());
    Event::default().id(heard.to_string()).event(kind).data(data)
}

fn lost(because: &str) -> Event {
    Event::default().event("cut").data(serde_json::json!({ "cut_because": because }).to_string())
}
