//! I-2 and I-3 under everything at once: every part of the system dies under traffic, and
//! what was accepted is shown once and in its order.

use std::time::Duration;

use sotto_load::{faults, limits, screen::Screen};

/// A minute of what `./dev faults --minutes 10` does for longer, with fewer devices.
///
/// Caught: answering `Accepted` before the commit (lost); a receiver that forgets which
/// envelopes it has handled (shown twice); sends of one device spread over two replicas
/// (out of order).
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
