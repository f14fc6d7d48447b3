//! Names of the headers that the agent sets on what it publishes (contract.md, "Where they travel").

/// How the payload is written.
pub const CONTENT_TYPE: &str = "content-type";
/// The command's id.
pub const COMMAND_ID: &str = "countermand-command-id";
/// The chain's id.
pub const CHAIN_ID: &str = "countermand-chain-id";
/// The action's lower-case word.
pub const ACTION: &str = "countermand-action";
/// What a service that does not know commands is asked to bring back (`model::Correlation`).
pub const CORRELATION: &str = "countermand-correlation";
/// On a result that was forwarded to where its key belongs; it is forwarded once.
pub const HOP: &str = "countermand-hop";
/// The reason for which input was refused, in a word.
pub const REASON: &str = "countermand-reason";
/// The reason in a sentence.
pub const DETAIL: &str = "countermand-detail";
/// `topic/partition/offset` of the refused record.
pub const ORIGIN: &str = "countermand-origin";
/// What was left out, since the record would not fit: parts by name, or a number of bytes.
pub const LEFT_OUT: &str = "countermand-left-out";

/// Who signed it (S8.1).
pub const SIGNATURE: &str = crate::trust::HEADER;

/// Whether a header is one that only the agent sets. In any case: AMQP and HTTP bridges do not tell cases apart.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    name.starts_with("countermand-") || name == CONTENT_TYPE
}
