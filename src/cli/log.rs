//! What is said while something runs: lines on stderr.

use std::io;

#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
use crate::policy::{
    Word as _,
    load::{LogConfig, LogFormat},
};

/// What libraries say beside what matters: the Kafka client's own troubles come through `librdkafka`, and RabbitMQ's are told by
/// who is connected to it.
const QUIET: &str = "rdkafka=off,hyper=warn,lapin=off,async_rs=off,fjall=warn,lsm_tree=warn";

/// Says only what is wrong, between the lines of something else. Once in a process.
pub(super) fn only_trouble() {
    let ansi = io::IsTerminal::is_terminal(&io::stderr());
    let filter = format!("warn,librdkafka=error,{QUIET}");
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr).init();
}

/// Begins to log as the configuration says. Once in a process.
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
pub(super) fn begin(config: &LogConfig) {
    let level = config.level.word();
    let filter = format!("{level},librdkafka={level},{QUIET}");
    let ansi = io::IsTerminal::is_terminal(&io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr);
    match config.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
