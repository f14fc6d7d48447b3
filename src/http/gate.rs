//! How much is answered at once, how often, how large, and for how long: beyond that callers are told to come back.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;
use tokio::{sync::Semaphore, time::timeout};

use super::problem::Problem;

/// Largest body of a request.
pub(super) const MAX_BODY: usize = 64 << 10;

/// Questions that are answered at once. Each may look at every chain that is kept.
const MAX_READS: usize = 32;

/// Requests that wait at once for what becomes of them. They take little while they wait.
const MAX_ACTS: usize = 256;

/// Requests a second, on and on and in one burst: more than a page, a dashboard and a script of an operator need together.
const RATE: f64 = 200.0;
const BURST: f64 = 400.0;

/// How long a request may take. An action waits up to 5 s for its outcome, and its body and the audit take their time.
const PATIENCE: Duration = Duration::from_secs(15);

/// Lets requests pass, or not.
#[derive(Debug)]
pub(super) struct Gate {
    reads: Semaphore,
    acts: Semaphore,
    bucket: Mutex<Bucket>,
}

impl Gate {
    pub fn new(now: Instant) -> Self {
        Self {
            reads: Semaphore::new(MAX_READS),
            acts: Semaphore::new(MAX_ACTS),
            bucket: Mutex::new(Bucket { left: BURST, at: now }),
        }
    }
}

/// Requests that may still come: they are added with time.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        self.left = (self.left + RATE * now.saturating_duration_since(self.at).as_secs_f64()).min(BURST);
        self.at = now;
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}

/// Lets a request pass if there is room for it, and for as long as it may take.
pub(super) async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if !gate.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
        let detail = format!("more than {RATE} requests a second");
        return Problem::new(StatusCode::TOO_MANY_REQUESTS, detail, "ask less often; larger pages need fewer requests")
            .into_response();
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (places, most) = if is_read { (&gate.reads, MAX_READS) } else { (&gate.acts, MAX_ACTS) };
    let Ok(_place) = places.try_acquire() else {
        let detail = format!("{most} requests are being answered already");
        return Problem::unavailable(detail, "ask again in a moment, and fewer at once").into_response();
    };
    match timeout(PATIENCE, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            let detail = format!("the request was not whole, or not answered, within {} s", PATIENCE.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, detail, "send it whole, at once").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{BURST, Bucket, RATE};

    #[test]
    fn after_a_burst_requests_pass_at_their_rate() {
        let begun = Instant::now();
        let mut bucket = Bucket { left: BURST, at: begun };
        let taken = |bucket: &mut Bucket, at: Instant| (0..10_000).take_while(|_| bucket.take(at)).count() as f64;
        assert_eq!(taken(&mut bucket, begun), BURST);
        assert_eq!(taken(&mut bucket, begun + Duration::from_secs(1)), RATE);
        assert_eq!(taken(&mut bucket, begun + Duration::from_secs(60)), BURST);
    }
}
