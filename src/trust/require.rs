//! What has to be signed before it is believed, and what the agent signs itself (S8.1).

use super::{Check, Distrust, Holder, Key, KeyError, Keyring, Kind, Signer};
use crate::{
    model::{BusTime, Span},
    policy::{
        Pattern,
        load::{Algorithm, Owner, Proof, Secret, SecretText, TrustConfig},
    },
};

/// How far a sender's clock may be ahead of bus time: what it sends is a copy's for that much longer.
const MAX_AHEAD: Span = Span::mins(5);

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Its bytes.
    pub payload: &'a [u8],
    /// Its signature.
    pub signature: Option<&'a [u8]>,
    /// Up to where time has passed where it lies. Not the host's clock: what is read again after a restart must be believed as
    /// it was the first time.
    pub at: BusTime,
}

/// What is believed. By default everything is, and nothing is signed.
#[derive(Debug, Default)]
pub struct Trust {
    /// Records have keys, and lie on partitions by them.
    pub is_keyed: bool,
    keyring: Keyring,
    envelopes: Vec<Pattern>,
    exempt: Vec<Pattern>,
    results: Vec<Pattern>,
    operations: bool,
    window: Span,
    signer: Option<Signer>,
}

impl Trust {
    /// What `config` says, with secrets that `fetch` gets. A chain that is closed is known for `max_age` (S2.9): what was
    /// sent longer ago than that might begin it anew.
    ///
    /// # Errors
    /// The setting, and why its key cannot be had. Nothing of a secret.
    pub fn new(
        config: &TrustConfig,
        max_age: Span,
        fetch: impl Fn(&Secret) -> Result<SecretText, String>,
    ) -> Result<Self, String> {
        let mut keyring = Keyring::default();
        for key in &config.keys {
            let wrong = |why: String| format!("trust.keys: `{}`: {why}", key.id);
            let check = match &key.proof {
                Proof::Hmac(secret) => hmac(&fetch(secret).map_err(wrong)?).map_err(|why| wrong(why.to_string()))?,
                Proof::Ed25519(public) => Check::Ed25519(*public),
            };
            let (not_before, not_after) = (key.not_before, key.not_after);
            if !keyring.add(&key.id, Key { owner: key.owner.clone(), check, not_before, not_after }) {
                return Err(wrong("there are two keys of this id".to_owned()));
            }
        }
        let signer = match &config.sign.secret {
            None => None,
            Some(secret) => {
                let wrong = |why: String| format!("trust.sign.secret: {why}");
                let secret = fetch(secret).map_err(wrong)?;
                let signer = match config.sign.algorithm {
                    Algorithm::HmacSha256 => Signer::hmac(&config.sign.key, secret.reveal().as_bytes()),
                    Algorithm::Ed25519 => Signer::ed25519(&config.sign.key, secret.reveal()),
                };
                Some(signer.map_err(|why| wrong(why.to_string()))?)
            }
        };
        // What the agent's own API asks for is signed by the agent, whoever asked.
        if let Some(signer) = &signer
            && !keyring.add(signer.key_id(), Key::of(Owner::Operator(None), signer.check()))
        {
            return Err(format!(
                "trust.sign.key: `{}` is in trust.keys, too: each key has its own id",
                signer.key_id()
            ));
        }
        Ok(Self {
            is_keyed: false,
            keyring,
            envelopes: config.require_signature.clone(),
            exempt: config.exempt.clone(),
            results: config.require_result_signature.clone(),
            operations: config.require_operation_signature,
            window: max_age,
            signer,
        })
    }

    /// The same, on a bus whose records have keys and lie on partitions by them.
    #[must_use]
    pub fn keyed(mut self) -> Self {
        self.is_keyed = true;
        self
    }

    /// Whether envelopes from `source` have to be signed.
    #[must_use]
    pub fn wants_envelope(&self, source: &str) -> bool {
        matches(&self.envelopes, source) && !matches(&self.exempt, source)
    }

    /// Whether any answer has to be signed.
    #[must_use]
    pub fn wants_results(&self) -> bool {
        !self.results.is_empty()
    }

    /// Whether answers to commands for `service` have to be signed.
    #[must_use]
    pub fn wants_result(&self, service: &str) -> bool {
        matches(&self.results, service)
    }

    /// Whether operations have to be signed.
    #[must_use]
    pub fn wants_operations(&self) -> bool {
        self.operations
    }

    /// Whether an envelope is from `source`, which says that it was `sent` then.
    ///
    /// # Errors
    /// Why that is not believed.
    pub fn envelope(&self, source: &str, sent: Option<BusTime>, claim: Claim<'_>) -> Result<(), Distrust> {
        self.check(Kind::Envelope, Holder::Service(source), claim)?;
        let sent = sent.ok_or(Distrust::Stale)?;
        let is_fresh = claim.at <= sent.plus(self.window) && sent <= claim.at.plus(MAX_AHEAD);
        if is_fresh { Ok(()) } else { Err(Distrust::Stale) }
    }

    /// Whether an answer is from `service`, for which the command was.
    ///
    /// # Errors
    /// Why that is not believed.
    pub fn result(&self, service: &str, claim: Claim<'_>) -> Result<(), Distrust> {
        self.check(Kind::Result, Holder::Service(service), claim)
    }

    /// Whether an operation is from `by`, or from somebody who may sign for him.
    ///
    /// # Errors
    /// Why that is not believed.
    pub fn operation(&self, by: &str, claim: Claim<'_>) -> Result<(), Distrust> {
        self.check(Kind::Operation, Holder::Operator(by), claim)
    }

    fn check(&self, kind: Kind, holder: Holder<'_>, claim: Claim<'_>) -> Result<(), Distrust> {
        self.keyring.check(kind, holder, claim.at, claim.payload, claim.signature)
    }

    /// The header's value for what the agent itself publishes; `None`: it has no key to sign with.
    #[must_use]
    pub fn sign(&self, kind: Kind, payload: &[u8]) -> Option<String> {
        self.signer.as_ref().map(|signer| signer.sign(kind, payload))
    }
}

fn matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

fn hmac(secret: &SecretText) -> Result<Check, KeyError> {
    Check::hmac(secret.reveal().as_bytes())
}
