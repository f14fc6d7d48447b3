//! A running agent with chains that wait for approval: the demo's shop in this process.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countermand::{
    demo::{
        Plan,
        here::{Here, STEP},
    },
    http::{Api, Token, Tokens, dropped, serve},
    model::{HostTime, Span},
    policy::{Mode, load::SecretText},
    render::Look,
    wire::WireLimits,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

/// Chains that are there at least when a test begins.
pub const CHAINS: usize = 30;

/// The shop, its agent and its API. Both go with it.
pub struct Shop {
    pub at: SocketAddr,
    pub audit: PathBuf,
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<()>>,
    _ends: watch::Sender<()>,
    runtime: Option<Runtime>,
}

impl Shop {
    /// A shop in which a bad release made chains fail; every plan waits for approval. Callers must show the `token`, if
    /// there is one.
    pub fn open(name: &str, token: Option<&str>) -> Self {
        let secret = |text: &str| SecretText::of(text).expect("a secret");
        Self::open_to(name, token.map(|text| Token::new(&secret(text))).into())
    }

    /// The same; callers must show one of `tokens`.
    pub fn open_to(name: &str, tokens: Tokens) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("api-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
        let begun = HostTime(i64::try_from(now).expect("a date"));
        let look = Look::default();
        let plan = Plan { seed: 7, length: Span::secs(60), rate: 20, kills: 0, run: String::new(), look };
        let mut here = Here::new(plan, Mode::Approve, &folder, begun).expect("a journal");
        while here.shared().live.len() < CHAINS {
            assert!(!here.is_over(), "the shop closed before enough chains had failed");
            here.step().expect("a step");
        }
        let _ = here.close();
        let (ends, ended) = watch::channel(());
        let api = Api::new(
            here.shared(),
            Arc::new(OnceLock::from(here.desk())),
            here.audit(),
            WireLimits::default(),
            ended.clone(),
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let at = listener.local_addr().expect("an address");
        runtime.spawn(serve(listener, api, tokens, dropped(ended)));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                here.step().expect("a step");
                thread::park_timeout(Duration::from_millis(STEP.0));
            }
        });
        let audit = folder.join("countermand.audit.jsonl");
        Self { at, audit, stop, work: Some(work), _ends: ends, runtime: Some(runtime) }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let ended = self.work.take().map(JoinHandle::join);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if !thread::panicking() {
            ended.expect("a thread").expect("the shop worked to its end");
        }
    }
}
