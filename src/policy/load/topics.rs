//! Which topics of a configuration are the agent's own.

use super::config::KafkaConfig;
use crate::policy::pattern::Pattern;

impl KafkaConfig {
    /// The topics that only the agent writes, or that are for it alone, for all services.
    #[must_use]
    pub fn own_topics(&self) -> Vec<Pattern> {
        let commands = self.commands.replace("{service}", "*");
        let written = [&self.events, &self.chains, &self.dead_letters, &self.state, &commands];
        let all = [&self.results, &self.operations].into_iter().chain(written);
        all.filter_map(|topic| Pattern::new(topic).ok()).collect()
    }

    /// The topics in which it reads what services tell each other. What a pattern takes in shows only on the bus.
    #[must_use]
    pub fn input_topics(&self) -> Vec<Pattern> {
        let named = self.topics.iter().filter(|topic| !topic.starts_with('^'));
        named.filter_map(|topic| Pattern::new(topic).ok()).collect()
    }
}
