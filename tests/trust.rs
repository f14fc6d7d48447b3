//! Signatures (S8.1): the exact bytes, against vectors that other programs made.

use countermand::{
    model::BusTime,
    policy::load::Owner,
    trust::{Check, Distrust, Holder, Key, Keyring, Kind, Seal, Signer, signed_bytes},
};
use serde_json::Value;

const KINDS: [Kind; 5] = [Kind::Envelope, Kind::Result, Kind::Operation, Kind::Command, Kind::Message];

fn vectors() -> Value {
    serde_json::from_str(include_str!("fixtures/trust/vectors.json")).expect("JSON")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |n: usize| u8::from_str_radix(&hex[n..n + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn signatures_are_what_other_programs_make() {
    let all = vectors();
    let vectors = all["vectors"].as_array().expect("vectors");
    assert_eq!(vectors.len(), 16);
    for vector in vectors {
        let (key, payload) = (text(vector, "key"), bytes(text(vector, "payload")));
        let kind = KINDS.into_iter().find(|kind| kind.word() == text(vector, "kind")).expect("a kind");
        assert_eq!(signed_bytes(kind, key, &payload), bytes(text(vector, "signed")), "{vector}");
        let (signer, check) = match text(vector, "algorithm") {
            "hmac-sha256" => {
                let secret = text(&all, "hmac_secret").as_bytes();
                (Signer::hmac(key, secret), Check::hmac(secret))
            }
            _ => (Signer::ed25519(key, text(&all, "ed25519_seed")), Check::ed25519(text(&all, "ed25519_public_key"))),
        };
        let (signer, check) = (signer.expect("a key"), check.expect("a key"));
        assert_eq!(signer.sign(kind, &payload), text(vector, "header"));
        let seal = Seal::read(text(vector, "header").as_bytes()).expect("a header");
        for other in KINDS {
            assert_eq!(check.is_of(other, &seal, &payload), other == kind, "{vector} as {}", other.word());
            assert_eq!(signer.check().is_of(other, &seal, &payload), other == kind);
        }
        // One bit of anything, and it is another message or another signature.
        for n in 0..seal.signature.len() * 8 {
            let mut forged = seal.clone();
            forged.signature[n / 8] ^= 1 << (n % 8);
            assert!(!check.is_of(kind, &forged, &payload), "bit {n} of {vector}");
        }
        for n in 0..payload.len() * 8 {
            let mut changed = payload.clone();
            changed[n / 8] ^= 1 << (n % 8);
            assert!(!check.is_of(kind, &seal, &changed), "bit {n} of the payload of {vector}");
        }
        let cut = Seal { signature: seal.signature[..seal.signature.len() - 1].to_vec(), ..seal.clone() };
        assert!(!check.is_of(kind, &cut, &payload));
    }
}

#[test]
fn a_key_vouches_for_its_owner_in_its_time_and_for_nothing_else() {
    let all = vectors();
    let secret = text(&all, "hmac_secret").as_bytes();
    let check = || Check::hmac(secret).expect("a key");
    let sign = |id: &str, kind| Signer::hmac(id, secret).expect("a key").sign(kind, b"payload");
    let mut keys = Keyring::default();
    let mut add = |id: &str, key| assert!(keys.add(id, key), "{id}");
    let of = |service: &str| Owner::Service(service.to_owned());
    add("stock-1", Key { not_after: Some(BusTime(100)), ..Key::of(of("stock"), check()) });
    add("stock-2", Key { not_before: Some(BusTime(50)), ..Key::of(of("stock"), check()) });
    add("payment-1", Key::of(of("payment"), check()));
    add("ann", Key::of(Owner::Operator(Some("ann".to_owned())), check()));
    add("agent", Key::of(Owner::Operator(None), check()));
    assert!(!keys.add("ann", Key::of(of("stock"), check())), "an id is one key's");
    let (stock, payment) = (Holder::Service("stock"), Holder::Service("payment"));
    let (ann, bob) = (Holder::Operator("ann"), Holder::Operator("bob"));
    let asked =
        |kind, holder, at, id: &str| keys.check(kind, holder, BusTime(at), b"payload", Some(sign(id, kind).as_bytes()));
    for kind in KINDS {
        // Two keys of one service are valid side by side while one takes over from the other.
        assert_eq!(asked(kind, stock, 70, "stock-1"), Ok(()));
        assert_eq!(asked(kind, stock, 70, "stock-2"), Ok(()));
        assert_eq!(asked(kind, stock, 100, "stock-1"), Ok(()));
        assert_eq!(asked(kind, stock, 101, "stock-1"), Err(Distrust::ExpiredKey));
        assert_eq!(asked(kind, stock, 49, "stock-2"), Err(Distrust::ExpiredKey));
        assert_eq!(asked(kind, stock, 70, "payment-1"), Err(Distrust::WrongSigner));
        assert_eq!(asked(kind, payment, 70, "stock-1"), Err(Distrust::WrongSigner));
        assert_eq!(asked(kind, stock, 70, "agent"), Err(Distrust::WrongSigner), "an operator is no service");
        assert_eq!(asked(kind, ann, 70, "stock-1"), Err(Distrust::WrongSigner), "and a service is no operator");
        assert_eq!(asked(kind, ann, 70, "ann"), Ok(()));
        assert_eq!(asked(kind, bob, 70, "ann"), Err(Distrust::WrongSigner));
        assert_eq!(asked(kind, bob, 70, "agent"), Ok(()), "who signs for all signs for him, too");
        assert_eq!(asked(kind, stock, 70, "stock-3"), Err(Distrust::UnknownKey));
    }
    let at = BusTime(70);
    assert_eq!(keys.check(Kind::Envelope, stock, at, b"payload", None), Err(Distrust::Unsigned));
    let header = sign("stock-1", Kind::Envelope);
    assert_eq!(keys.check(Kind::Envelope, stock, at, b"Payload", Some(header.as_bytes())), Err(Distrust::Forged));
    assert_eq!(keys.check(Kind::Result, stock, at, b"payload", Some(header.as_bytes())), Err(Distrust::Forged));
}

#[test]
fn what_is_no_key_is_refused() {
    assert!(
        Signer::hmac("a", b"too short").is_err() && Check::hmac(&[7; 31]).is_err() && Check::hmac(&[7; 32]).is_ok()
    );
    assert!(Check::hmac(&[7; 1_025]).is_err());
    assert!(Signer::hmac("a\nb", &[7; 32]).is_err() && Signer::hmac("", &[7; 32]).is_err());
    let all = vectors();
    let seed = text(&all, "ed25519_seed");
    assert!(Signer::ed25519("a", seed).is_ok() && Signer::ed25519("a", seed.trim_end_matches('=')).is_ok());
    assert!(Signer::ed25519("a", &seed[4..]).is_err() && Check::ed25519("not Base64!").is_err());
    let signer = Signer::ed25519("a", seed).expect("a key");
    assert_eq!(format!("{signer:?} {:?}", signer.check()), "Signer { key_id: \"a\", .. } Ed25519", "no key is shown");
    assert_eq!(format!("{:?}", Check::hmac(&[7; 32]).expect("a key")), "Hmac(hidden)");
}
