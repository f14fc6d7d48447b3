//! `[trust]` and `http.tokens` (S8.1).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Setting,
    names::{check_name, check_service},
    rows::{Row, read_rows, show_row, text},
    slot::{Slot, unless_empty},
    table::show_secret,
};
use crate::{
    model::{BusTime, hex},
    policy::{
        load::{
            config::Config,
            hint,
            trust::{
                Algorithm, KeyConfig, MAX_KEY_ID, MAX_KEYS, MAX_TOKENS, Owner, Proof, Role, TokenConfig, is_key_id,
                thirty_two_bytes,
            },
        },
        pattern::Pattern,
        words::Word,
    },
};

/// Whoever signs for all operators.
const ALL: &str = "*";

macro_rules! services {
    ($field:ident) => {
        Slot::Texts {
            form: "services or patterns such as \"stock-*\"",
            check: |text| match text.contains('/') {
                true => Err(format!("`{text}` holds an operation: a signature is a service's")),
                false => Pattern::new(text).map(|_| ()).map_err(|error| error.to_string()),
            },
            get: |it| unless_empty(it.trust.$field.iter().map(|pattern| pattern.text().to_owned()).collect()),
            set: |it, texts| it.trust.$field = texts.iter().filter_map(|text| Pattern::new(text).ok()).collect(),
        }
    };
}

/// Whose word is believed.
pub(super) const TRUST: &[Setting<Config>] = &[
    Setting {
        key: "trust.keys",
        slot: Slot::Tables {
            form: "tables: `id`, `service` or `operator`, `algorithm`, `public_key` or `secret`, `not_before`, `not_after`",
            get: |it| it.trust.keys.iter().map(show_key).collect(),
            set: |it, name, value| {
                const KNOWN: [&str; 8] =
                    ["id", "service", "operator", "algorithm", "public_key", "secret", "not_before", "not_after"];
                it.trust.keys = read_rows(name, value, MAX_KEYS, &KNOWN, read_key)?;
                Ok(())
            },
        },
        what: "Keys that signatures are checked with. Each belongs to one `service` (its envelopes, and its answers to \
               commands) or one `operator` (`*`: all of them), and vouches for nobody else; several of one owner are valid side \
               by side. `algorithm = \"ed25519\"` has a `public_key`, the Base64 of 32 bytes; `\"hmac-sha256\"` a `secret`, \
               `{ env = \"NAME\" }` or `{ file = \"PATH\" }`, whose text of at least 32 bytes is the key. A key is valid from \
               `not_before` to `not_after`, in stream time, if they are there.",
        why: "",
        rule: "S8.1",
    },
    Setting {
        key: "trust.require_signature",
        slot: services!(require_signature),
        what: "Services whose envelopes have to be signed, and to say when they were sent (`sent_at`, no longer ago than \
               `engine.max_age`); `*` is all, those too that do not say who they are. What is not as it must be changes nothing, \
               is counted, and goes to the dead letters.",
        why: "Services do not sign by themselves. Where only some have to, others can still speak in the same chains.",
        rule: "S8.1",
    },
    Setting {
        key: "trust.exempt",
        slot: services!(exempt),
        what: "Services whose envelopes need no signature, although `require_signature` matches them: those that do not sign \
               yet.",
        why: "",
        rule: "S8.1",
    },
    Setting {
        key: "trust.require_result_signature",
        slot: services!(require_result_signature),
        what: "Services whose answers to commands have to be signed, by the service that the command was for.",
        why: "As `require_signature`.",
        rule: "S8.1",
    },
    Setting {
        key: "trust.require_operation_signature",
        slot: Slot::Flag {
            get: |it| Some(it.trust.require_operation_signature),
            set: |it, flag| it.trust.require_operation_signature = flag,
        },
        what: "Whether what operators ask for has to be signed, by a key of an `operator`. What comes over HTTP the agent signs \
               itself, with `[trust.sign]`.",
        why: "As `require_signature`.",
        rule: "S8.1",
    },
    Setting {
        key: "trust.sign.key",
        slot: Slot::Text {
            form: "an id",
            get: |it| Some(it.trust.sign.key.clone()).filter(|key| !key.is_empty()),
            set: |it, text| {
                check_key_id(text)?;
                text.clone_into(&mut it.trust.sign.key);
                Ok(())
            },
        },
        what: "The id of the key that the agent signs its commands with, and the operations of its own HTTP API. Not one of \
               `trust.keys`.",
        why: "",
        rule: "S8.1",
    },
    Setting {
        key: "trust.sign.algorithm",
        slot: Slot::Word {
            words: Algorithm::words,
            get: |it| Some(it.trust.sign.algorithm.word()),
            set: |it, word| it.trust.sign.algorithm = Algorithm::from_word(word).unwrap_or_default(),
        },
        what: "How it signs.",
        why: "With a secret that all services have, each of them could write commands to the others, and operations.",
        rule: "S8.1",
    },
    Setting {
        key: "trust.sign.secret",
        slot: Slot::Secret {
            get: |it| it.trust.sign.secret.clone(),
            set: |it, secret| it.trust.sign.secret = Some(secret),
        },
        what: "Where its secret is: of `ed25519` the Base64 of the 32 bytes of its seed, of `hmac-sha256` a text of at least 32 \
               bytes.",
        why: "",
        rule: "S8.4",
    },
];

/// Who may do what over HTTP.
pub(super) const TOKENS: &[Setting<Config>] = &[Setting {
    key: "http.tokens",
    slot: Slot::Tables {
        form: "tables: `name`, `role`, `sha256`",
        get: |it| it.http.tokens.iter().map(show_token).collect(),
        set: |it, name, value| {
            it.http.tokens = read_rows(name, value, MAX_TOKENS, &["name", "role", "sha256"], read_token)?;
            Ok(())
        },
    },
    what: "Tokens beside `http.token`, which is an admin's: each with the `name` that the audit calls its holder, whoever he \
           says he is, a `role` (`viewer`: looks; `operator`: acts on chains, too; `admin`: also on the whole agent) and the \
           SHA-256 of the token in hexadecimal, as `countermand check --hash-token` prints it.",
    why: "",
    rule: "S8.1",
}];

fn check_key_id(text: &str) -> Result<(), String> {
    match is_key_id(text) {
        true => Ok(()),
        false => Err(format!("the id of a key has 1 to {MAX_KEY_ID} letters, digits, `.`, `_` and `-`")),
    }
}

fn word<W: Word>(name: &str, text: &str) -> Result<W, String> {
    W::from_word(text).ok_or_else(|| {
        let words = W::words();
        let near = hint::nearest(text, words.iter().copied());
        let near = near.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
        format!("`{name}` is one of {}, not `{text}`{near}", words.join(", "))
    })
}

fn read_key(row: &mut Row<'_>, earlier: &[KeyConfig]) -> Option<KeyConfig> {
    let id = row.text("id", |text| {
        check_key_id(text)?;
        match earlier.iter().any(|key| key.id == text) {
            true => Err(format!("there is a key `{text}` already: each has its own id")),
            false => Ok(text.to_owned()),
        }
    });
    row.missing("id", "it stands in the header of what the key signs");
    let algorithm = row.text("algorithm", |text| word::<Algorithm>("algorithm", text));
    row.missing("algorithm", "write \"ed25519\" or \"hmac-sha256\"");
    let owner = read_owner(row);
    let proof = match algorithm {
        Some(Algorithm::Ed25519) => {
            if row.has("secret") {
                row.wrong(
                    "secret",
                    "an Ed25519 key is checked with its `public_key`: keep the private one away".to_owned(),
                );
            }
            row.missing("public_key", "write the Base64 of its 32 bytes");
            row.text("public_key", public_key).map(Proof::Ed25519)
        }
        Some(Algorithm::HmacSha256) => {
            if row.has("public_key") {
                row.wrong("public_key", "an HMAC key has no public part: write where its `secret` is".to_owned());
            }
            row.missing("secret", "write { env = \"NAME\" } or { file = \"PATH\" }");
            row.secret("secret").map(Proof::Hmac)
        }
        None => None,
    };
    let (not_before, not_after) = (row.text("not_before", time), row.text("not_after", time));
    if let (Some(from), Some(until)) = (not_before, not_after)
        && from >= until
    {
        row.wrong("not_after", "`not_after` is not after `not_before`: the key would never be valid".to_owned());
    }
    Some(KeyConfig { id: id?, owner: owner?, proof: proof?, not_before, not_after })
}

fn read_owner(row: &mut Row<'_>) -> Option<Owner> {
    let service = row.text("service", |text| check_service(text).map(|()| Owner::Service(text.to_owned())));
    let operator = row.text("operator", |text| match text {
        ALL => Ok(Owner::Operator(None)),
        _ => check_name(text).map(|()| Owner::Operator(Some(text.to_owned()))),
    });
    match (row.has("service"), row.has("operator")) {
        (true, true) => row.wrong("operator", "a key is a service's or an operator's, not both".to_owned()),
        (false, false) => row.missing("service", "say whose key it is: `service = \"stock\"`, or `operator = \"ann\"`"),
        _ => {}
    }
    service.or(operator)
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    thirty_two_bytes(text).ok_or_else(|| "`public_key` is the Base64 of 32 bytes".to_owned())
}

fn time(text: &str) -> Result<BusTime, String> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(|time| BusTime(time.as_millisecond()))
        .map_err(|_| format!("`{text}` is no time: write it as \"2027-01-31T00:00:00Z\""))
}

fn show_key(key: &KeyConfig) -> String {
    let time = |at: Option<BusTime>| {
        let at = jiff::Timestamp::from_millisecond(at?.0).ok()?;
        text(&at.to_string())
    };
    let (service, operator) = match &key.owner {
        Owner::Service(service) => (text(service), None),
        Owner::Operator(name) => (None, text(name.as_deref().unwrap_or(ALL))),
    };
    let (algorithm, public_key, secret) = match &key.proof {
        Proof::Ed25519(public) => (Algorithm::Ed25519, text(&STANDARD.encode(public)), None),
        Proof::Hmac(secret) => (Algorithm::HmacSha256, None, Some(show_secret(secret))),
    };
    show_row(&[
        ("id", text(&key.id)),
        ("service", service),
        ("operator", operator),
        ("algorithm", text(algorithm.word())),
        ("public_key", public_key),
        ("secret", secret),
        ("not_before", time(key.not_before)),
        ("not_after", time(key.not_after)),
    ])
}

fn read_token(row: &mut Row<'_>, earlier: &[TokenConfig]) -> Option<TokenConfig> {
    let name = row.text("name", |text| {
        check_name(text)?;
        match earlier.iter().any(|token| token.name == text) {
            true => Err(format!("there is a token of `{text}` already: give each a name of its own")),
            false => Ok(text.to_owned()),
        }
    });
    row.missing("name", "the audit calls its holder so");
    let role = row.text("role", |text| word::<Role>("role", text));
    row.missing("role", "write \"viewer\", \"operator\" or \"admin\"");
    let sha256 = row.text("sha256", |text| {
        let hash =
            hash(text).ok_or("`sha256` is 64 hexadecimal digits: `countermand check --hash-token` prints them")?;
        match earlier.iter().find(|token| token.sha256 == hash) {
            Some(same) => Err(format!("this is the token of `{}`, too: who shows it must be one", same.name)),
            None => Ok(hash),
        }
    });
    row.missing("sha256", "`countermand check --hash-token` prints it");
    Some(TokenConfig { name: name?, role: role?, sha256: sha256? })
}

fn hash(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (n, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(hash)
}

fn show_token(token: &TokenConfig) -> String {
    show_row(&[("name", text(&token.name)), ("role", text(token.role.word())), ("sha256", text(&hex(&token.sha256)))])
}
