//! `approve`, `reject`, `retry`, `skip`, `mark-done`, `confirm`, `give-up`, `pause`, `resume` and `brake-release`:
//! operators' hands (S5.2, S5.7, S5.8).

use std::{io::Write, process::ExitCode};

use serde_json::{Value, json};

use super::{
    out,
    remote::{Agent, Failure, escaped},
};
use crate::render::safe;

/// Arguments of what is asked of a chain.
#[derive(Debug, clap::Args)]
pub struct OfChain {
    #[command(flatten)]
    word: Word,
    /// Refuse if the verdict has another revision than this [default: the newest, as it is when this is asked]
    #[arg(long, value_name = "N")]
    revision: Option<u32>,
    /// Names what is asked for: repeated under the same key it acts once, and is answered with the same outcome
    #[arg(long, value_name = "KEY", requires = "revision")]
    key: Option<String>,
    /// The chain
    chain_id: String,
    /// The call whose command or effect it is about
    #[arg(default_value = "")]
    call_id: String,
}

/// Arguments of what is asked of the agent.
#[derive(Debug, clap::Args)]
pub struct OfAgent {
    #[command(flatten)]
    word: Word,
    /// Names what is asked for: repeated under the same key it acts once, and is answered with the same outcome
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Of whom it is asked, why and by whom.
#[derive(Debug, clap::Args)]
struct Word {
    #[command(flatten)]
    agent: Agent,
    /// Why; it is kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who asks; the holder of a token with a name acts under that name, whatever is said here
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "cli")]
    by: String,
}

/// Exit code where nobody has told yet what became of it.
const EXIT_PENDING: u8 = 1;

/// Asks `verb` of a chain.
pub fn of_chain(verb: &str, args: &OfChain) -> ExitCode {
    match ask_chain(verb, args) {
        Ok((status, answer)) => {
            let chain = safe(&args.chain_id);
            if status == 202 {
                return pending(&answer);
            }
            let state = safe(answer["state"].as_str().unwrap_or_default()).into_owned();
            say(&format!("{verb}: done; chain {chain} is {state}, revision {}", answer["revision"]))
        }
        Err(failure) => failure.say(),
    }
}

fn ask_chain(verb: &str, args: &OfChain) -> Result<(u16, Value), Failure> {
    let path = format!("/v1/chains/{}", escaped(&args.chain_id));
    let revision = match args.revision {
        Some(revision) => revision,
        None => {
            let chain = args.word.agent.get(&path, &[])?;
            chain["revision"].as_u64().and_then(|revision| u32::try_from(revision).ok()).unwrap_or(0)
        }
    };
    let wish = json!({
        "verb": verb,
        "call_id": args.call_id,
        "revision": revision,
        "reason": args.word.reason,
        "by": args.word.by,
    });
    args.word.agent.post(&format!("{path}/actions"), args.key.as_deref(), &wish)
}

/// Asks `verb` of the agent, all instances.
pub fn of_agent(verb: &str, args: &OfAgent) -> ExitCode {
    let word = json!({ "reason": args.word.reason, "by": args.word.by });
    match args.word.agent.post(&format!("/v1/{verb}"), args.key.as_deref(), &word) {
        Ok((202, answer)) => pending(&answer),
        Ok((_, answer)) => say(&format!("{verb}: done by all {} engines", answer["engines"])),
        Err(failure) => failure.say(),
    }
}

fn say(line: &str) -> ExitCode {
    out::with(|out| writeln!(out, "{line}").map(|()| ExitCode::SUCCESS))
}

fn pending(answer: &Value) -> ExitCode {
    let id = answer["operation_id"].as_str().unwrap_or_default();
    eprintln!("nobody has told within 5 s what became of it; `countermand operation {id}` asks again");
    ExitCode::from(EXIT_PENDING)
}
