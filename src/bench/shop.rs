//! Load profile `shop`: a small shop that people can read: mostly orders that work, and a few stories that do not.

use super::{
    rng::Rng,
    spec::{Fate, Spec},
};

/// One order.
pub(super) fn chain(rng: &mut Rng) -> Spec {
    let story = rng.below(100);
    let work = |rng: &mut Rng| rng.between(3, 18);
    let mut stock = Spec::new("inventory", "2.0", "Reserve").undone_by("Release").within(2_000).taking(work(rng));
    let mut pay = Spec::new("payment", "3.1", "Charge").undone_by("Refund").within(2_000).taking(work(rng));
    pay.accepts_in_doubt = true;
    let mut ship = Spec::new("shipping", "1.7", "CreateShipment").undone_by("CancelShipment").within(2_000);
    ship.accepts_in_doubt = true;
    let route = Spec::new("carrier", "5.2", "BookSlot").undone_by("FreeSlot").within(1_000).taking(work(rng));
    let mut points = Spec::new("loyalty", "0.9", "AddPoints").undone_by("TakePoints").within(800).taking(work(rng));
    let fraud = Spec::new("fraud", "4.4", "Score").within(1_500).taking(work(rng));
    let mut mail = Spec::new("mailer", "4.0", "OrderPlaced");
    mail.event = true;
    match story {
        // The card is declined: the reserved stock goes back.
        0..=3 => pay.fate = Fate::Fails("CARD_DECLINED"),
        // The carrier never answers: its slot may be booked.
        4 => {
            let mut silent = route.clone();
            silent.fate = Fate::Hangs;
            silent.accepts_in_doubt = true;
            ship.inside.push(silent);
        }
        // Shipping fails after it had booked a slot: everything goes back, last first.
        5 => {
            ship.inside.push(route.clone());
            ship.fate = Fate::Fails("ADDRESS_UNKNOWN");
        }
        // Loyalty fails half way, and the order is fine without it: only what loyalty left is taken back.
        6..=7 => {
            points.inside.push(Spec::new("ledger", "7.0", "Post").undone_by("Reverse").within(600));
            points.fate = Fate::Fails("MEMBER_LOCKED");
        }
        // The first charge hits a dead connection, the second works.
        8..=10 => pay.fate = Fate::WorksOnRetry("ACQUIRER_RESET"),
        // Nothing left.
        11 => stock.fate = Fate::Fails("OUT_OF_STOCK"),
        _ => {}
    }
    if !(4..=5).contains(&story) {
        ship.inside.push(route);
    }
    pay.inside.push(fraud);
    let mut order = Spec::new("order", "1.4", "PlaceOrder").within(8_000).taking(work(rng));
    order.inside = vec![stock, pay, ship];
    // Loyalty is asked by a step of its own that shrugs off failures.
    let mut rewards = Spec::new("rewards", "1.1", "Reward").within(3_000).calling(vec![points]);
    rewards.tolerates = true;
    order.inside.push(rewards);
    order.inside.push(mail);
    order
}
