//! Faults from between: a proxy stands between the agent and the broker, and delays, cuts and half-closes connections. The
//! services have their own way to the broker.

use std::time::Duration;

use crate::{
    bus::{pass, until},
    proxy::Proxy,
    traffic::{Participants, Story, ids_of, play},
    world::World,
};

/// What happens on the way.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Late,
    Cut,
    /// The broker is not heard any more, and the connection stays open: only its silence shows it.
    Deaf,
    Closed,
}

const FAULTS: [Fault; 4] = [Fault::Late, Fault::Cut, Fault::Deaf, Fault::Closed];

/// An agent behind a proxy, whichever process it is just now.
pub struct Behind<'a> {
    pub world: &'a World,
    pub proxy: &'a Proxy,
    pub get: &'a dyn Fn(&str) -> Option<(u16, String)>,
    pub metric: &'a dyn Fn(&str) -> Option<f64>,
}

impl Behind<'_> {
    /// Sends chains through every fault and waits for what comes of them: the chains, and the ids of all commands that were
    /// received.
    pub fn endure(&self) -> (Vec<(String, Story)>, Vec<String>) {
        let Self { world, proxy, .. } = self;
        let participants = Participants::start(world);
        let mut stories: Vec<(String, Story)> = Vec::new();
        for (n, fault) in FAULTS.into_iter().enumerate() {
            let kind = |m: usize| [Story::Good, Story::Declined, Story::Hanging][m % 3];
            let wave: Vec<(String, Story)> = (0..30).map(|m| (format!("chain-{n}-{m}"), kind(m))).collect();
            std::thread::scope(|scope| {
                scope.spawn(|| play(world, &wave, 50));
                pass(Duration::from_millis(200));
                self.happens(fault);
                proxy.delay(Duration::ZERO);
            });
            stories.extend(wave);
            let failed = stories.iter().filter(|(_, story)| !story.undone().is_empty()).count();
            let failed = f64::from(u32::try_from(failed).expect("a count"));
            until(&format!("all to be compensated after {fault:?}"), || {
                (self.metric)("countermand_plans{state=\"compensated\"}").filter(|count| *count >= failed)
            });
            until("the agent to be ready again", || self.is_ready().then_some(()));
        }
        (stories, ids_of(participants.stop()))
    }

    fn is_ready(&self) -> bool {
        (self.get)("/readyz").is_some_and(|(status, _)| status == 200)
    }

    fn happens(&self, fault: Fault) {
        let proxy = self.proxy;
        let before = proxy.connections();
        match fault {
            Fault::Late => {
                proxy.delay(Duration::from_millis(150));
                pass(Duration::from_secs(1));
            }
            Fault::Cut => {
                proxy.cut();
                until("the agent to connect again", || (proxy.connections() > before + 1).then_some(()));
            }
            // It is found out without anybody's help.
            Fault::Deaf => {
                proxy.deafen(true);
                until("the agent to find out", || (proxy.connections() > before).then_some(()));
                proxy.deafen(false);
            }
            Fault::Closed => {
                proxy.close(true);
                proxy.cut();
                until("the agent to say that it is not ready", || (!self.is_ready()).then_some(()));
                proxy.close(false);
            }
        }
    }
}
