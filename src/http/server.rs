//! Who is listened to, and what is answered where.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, RawQuery, Request, State},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;

use super::{
    api::Api,
    gate::{self, Gate, MAX_BODY},
    problem::Problem,
    query::Params,
    resources::{Door, resources},
    token::{Caller, Tokens},
};
use crate::policy::load::Role;

/// Connections at once: listeners, probes, dashboards and people.
const MAX_CONNECTIONS: usize = 256;

/// Connections beyond that to which it is said that there are too many. More are closed without a word.
const MAX_REFUSALS: usize = 16;

/// How long a request's head may take, and the wait for one on a connection that is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long a caller may not read what he is sent.
const READER_PATIENCE: Duration = Duration::from_secs(30);

/// Largest head of a request. A place in the events of a thousand partitions fits.
const MAX_HEAD: usize = 64 << 10;

/// How long requests that are being answered are waited for at the end.
const GRACE: Duration = Duration::from_secs(6);

/// Wait before the system is asked again for connections, when it had no room for one.
const PAUSE: Duration = Duration::from_millis(50);

/// All resources of an agent. Where there are `tokens`, callers must show one for all that is guarded, and for what is not
/// there: nobody else is to learn what is.
pub fn router(api: Api, tokens: impl Into<Tokens>) -> Router {
    let (mut open, mut guarded) = (Router::new(), Router::new());
    for resource in resources() {
        let handler = if resource.query.is_empty() && resource.door == Door::Guarded {
            resource.handler.layer(middleware::from_fn(without_query))
        } else {
            resource.handler
        };
        match resource.door {
            Door::Open => open = open.route(resource.path, handler),
            Door::Guarded => {
                let handler = handler.layer(middleware::from_fn_with_state(resource.role, allow));
                guarded = guarded.route(resource.path, handler);
            }
        }
    }
    let open = open.method_not_allowed_fallback(other_method);
    let guarded = guarded
        .method_not_allowed_fallback(other_method)
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::new(Gate::new(Instant::now())), gate::pass));
    let guarded = guarded.layer(middleware::from_fn_with_state(Arc::new(tokens.into()), guard));
    open.merge(guarded).with_state(api)
}

async fn guard(State(tokens): State<Arc<Tokens>>, mut request: Request, next: Next) -> Response {
    match tokens.caller(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(why) => Problem::unauthorized(why).into_response(),
    }
}

async fn allow(
    State(needed): State<Role>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if caller.role >= needed { next.run(request).await } else { Problem::needs(needed, caller.role).into_response() }
}

async fn without_query(query: RawQuery, request: Request, next: Next) -> Response {
    match Params::read(query, &[]) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn nothing(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path()), "/openapi.json says what there is")
}

async fn other_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    let hint = "the header `Allow` says which methods it takes, and /openapi.json what for";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail, hint)
}

/// Completes when the sender of `stopped` is dropped.
pub async fn dropped(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Answers on `listener` until `stop` completes, and what is being answered then, for some seconds more. What is wrong with
/// a connection ends that connection.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    tokens: impl Into<Tokens>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let service = TowerToHyperService::new(router(api, tokens));
    let (places, refusals) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Arc::new(Semaphore::new(MAX_REFUSALS)));
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(MAX_HEAD);
    let mut stop = pin!(stop);
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "a connection is not taken");
                    sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            let mut socket = TimeoutStream::new(socket);
            socket.set_write_timeout(Some(READER_PATIENCE));
            let connection = http.serve_connection(TokioIo::new(Box::pin(socket)), service.clone());
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                // A caller that is gone, or is no HTTP client.
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ends");
                }
                drop(place);
            });
        } else if let Ok(place) = refusals.clone().try_acquire_owned() {
            tokio::spawn(async move {
                let _ = timeout(HEAD_PATIENCE, turn_away(socket)).await;
                drop(place);
            });
        }
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => {}
        () = sleep(GRACE) => {}
    }
}

/// Says that there are too many connections, whatever is asked.
async fn turn_away(socket: TcpStream) -> io::Result<()> {
    // Closed with his request unread, the connection would be reset, and he might not see the answer.
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD {
        let mut bytes = [0; 4096];
        socket.readable().await?;
        match socket.try_read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(n) => head.extend_from_slice(&bytes[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let detail = format!("there are {MAX_CONNECTIONS} connections already");
    let body = Problem::unavailable(detail, "close those that are not needed, and ask again in a moment").body();
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: \
         close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.writable().await?;
    // Less than a packet: it goes at once or not at all.
    socket.try_write(format!("{head}{body}").as_bytes()).map(|_| ())
}
