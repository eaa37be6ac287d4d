//! I-2 and I-3 under everything at once: every part of the system dies under traffic, and
//! what was accepted is shown once and in its order.

use std::time::Duration;

use sotto_load::{faults, limits, screen::Screen};

/// A minute of what `./dev faults --minutes 10` does for longer, with fewer devices.
///
/// Caught: a commit that fails and is answered `Accepted` all the same (38 of 2,490 lost);
/// a client that shows what comes as it comes (4 out of order). A message that is shown
/// twice takes the loss of three guards at once: the id that follows from the send, the
/// list of ids that were handled, and the ratchet; the oracle's own tests inject one.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_shown_twice_or_out_of_order_while_every_part_is_killed() {
    limits::raise_open_files().unwrap();
    let options = faults::Options {
        duration: Duration::from_mins(1),
        clients: 40,
        contacts: 3,
        rate: 40.0,
        gateways: 2,
        messages: 2,
        kills_each: 1,
        seed: 11,
    };

    let report = Box::pin(faults::run(&options, &Screen::stdout())).await.unwrap();

    report.show(&Screen::stdout());
    assert!(report.outcome.is_held(), "{:?}", report.outcome);
    assert!(report.verdict.accepted > 1_000, "{:?}", report.verdict);
    assert_eq!(report.kills.len(), faults::PARTS.len());
}
