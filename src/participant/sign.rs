//! Signing what a service publishes, and believing no command that the agent did not sign (S8.1). `docs/trust.md`.

use std::{collections::BTreeMap, fmt};

use prost::Message as _;

use crate::{
    trust::{Check, Distrust, HEADER, Kind, Seal, Signer},
    wire::{
        self, WireError, WireLimits,
        proto::{Command, CommandResult, Envelope},
    },
};

/// A message as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Its bytes. They are published as they are: encoded again they may be others, and the signature is none of those.
    pub payload: Vec<u8>,
    /// The name and the value of its header.
    pub header: (&'static str, String),
}

/// Signs what a service publishes, with its key.
#[derive(Debug)]
pub struct Signing(Signer);

impl Signing {
    /// With this key.
    #[must_use]
    pub fn with(signer: Signer) -> Self {
        Self(signer)
    }

    /// An envelope of this service.
    #[must_use]
    pub fn envelope(&self, envelope: &Envelope) -> Signed {
        self.signed(Kind::Envelope, envelope.encode_to_vec())
    }

    /// This service's answer to a command.
    #[must_use]
    pub fn result(&self, result: &CommandResult) -> Signed {
        self.signed(Kind::Result, result.encode_to_vec())
    }

    fn signed(&self, kind: Kind, payload: Vec<u8>) -> Signed {
        let value = self.0.sign(kind, &payload);
        Signed { payload, header: (HEADER, value) }
    }
}

/// Why a command is not to be carried out. Drop it: whoever sent it will hear nothing, and if it was the agent, it asks
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// It is not believed.
    Distrust(Distrust),
    /// It cannot be read.
    Wire(WireError),
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Distrust(why) => why.fmt(f),
            Self::Wire(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NotTaken {}

/// Which commands are believed.
#[derive(Debug, Clone, Default)]
pub struct CommandGate {
    keys: BTreeMap<String, Check>,
    is_required: bool,
}

impl CommandGate {
    /// Believes commands that bear no signature, and those that one of its keys signed: for the time until the agent signs.
    #[must_use]
    pub fn lenient() -> Self {
        Self::default()
    }

    /// Believes only commands that one of its keys signed.
    #[must_use]
    pub fn strict() -> Self {
        Self { is_required: true, ..Self::default() }
    }

    /// A key of the agent. Several are valid side by side, so that one can take over from another.
    #[must_use]
    pub fn key(mut self, id: &str, check: Check) -> Self {
        self.keys.insert(id.to_owned(), check);
        self
    }

    /// The command in these bytes, which bore this header. What it says is for
    /// [`Participant::command`](super::Participant::command) to check.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing may be done for it.
    pub fn open(&self, payload: &[u8], header: Option<&[u8]>, limits: &WireLimits) -> Result<Command, NotTaken> {
        self.believe(payload, header).map_err(NotTaken::Distrust)?;
        wire::decode_command(payload, limits).map_err(NotTaken::Wire)
    }

    fn believe(&self, payload: &[u8], header: Option<&[u8]>) -> Result<(), Distrust> {
        let Some(header) = header else {
            return if self.is_required { Err(Distrust::Unsigned) } else { Ok(()) };
        };
        let seal = Seal::read(header).ok_or(Distrust::Forged)?;
        let check = self.keys.get(&seal.key_id).ok_or(Distrust::UnknownKey)?;
        if check.is_of(Kind::Command, &seal, payload) { Ok(()) } else { Err(Distrust::Forged) }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::{CommandGate, NotTaken, Signing};
    use crate::{
        trust::{Distrust, Kind, Seal, Signer},
        wire::{
            WireLimits,
            proto::{Command, Envelope},
        },
    };

    const SECRET: &[u8] = b"thirty-two bytes of shared secret";

    #[test]
    fn no_command_is_believed_that_the_agent_did_not_sign() {
        let agent = Signer::hmac("agent-2", SECRET).unwrap();
        let gate = CommandGate::strict().key("agent-1", agent.check()).key("agent-2", agent.check());
        let command = Command { command_id: "id".into(), chain_id: "chain".into(), ..Command::default() };
        let payload = command.encode_to_vec();
        let open = |gate: &CommandGate, header: Option<&str>| {
            gate.open(&payload, header.map(str::as_bytes), &WireLimits::default())
        };
        let header = agent.sign(Kind::Command, &payload);
        assert_eq!(open(&gate, Some(&header)), Ok(command.clone()));
        let why = |why| Err(NotTaken::Distrust(why));
        assert_eq!(open(&gate, None), why(Distrust::Unsigned));
        assert_eq!(open(&gate, Some("v1;key=agent-2;sig=AAAA")), why(Distrust::Forged));
        assert_eq!(open(&gate, Some(&header.replace("agent-2", "agent-1"))), why(Distrust::Forged), "the id is signed");
        assert_eq!(open(&gate, Some(&header.replace("agent-2", "agent-3"))), why(Distrust::UnknownKey));
        assert_eq!(open(&gate, Some(&agent.sign(Kind::Result, &payload))), why(Distrust::Forged), "so is the kind");
        let other = Command { call_id: "other".into(), ..command.clone() }.encode_to_vec();
        assert_eq!(gate.open(&other, Some(header.as_bytes()), &WireLimits::default()), why(Distrust::Forged));
        let lenient = CommandGate::lenient().key("agent-2", agent.check());
        assert_eq!(open(&lenient, None), Ok(command));
        assert_eq!(open(&lenient, Some("v1;key=agent-2;sig=AAAA")), why(Distrust::Forged));
    }

    #[test]
    fn what_a_service_publishes_bears_its_signature() {
        let signer = Signer::hmac("stock-1", SECRET).unwrap();
        let check = signer.check();
        let envelope = Envelope { message_id: "m".into(), ..Envelope::default() };
        let signed = Signing::with(signer).envelope(&envelope);
        assert_eq!(signed.payload, envelope.encode_to_vec());
        let (name, value) = signed.header;
        let seal = Seal::read(value.as_bytes()).unwrap();
        assert_eq!((name, seal.key_id.as_str()), ("countermand-signature", "stock-1"));
        assert!(check.is_of(Kind::Envelope, &seal, &signed.payload));
        assert!(!check.is_of(Kind::Result, &seal, &signed.payload));
    }
}
