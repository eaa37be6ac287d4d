//! I-8: a gateway that drains loses no message and spreads its reconnects.

use std::time::Duration;

use sotto_load::{drain, limits, screen::Screen};

/// A tenth of what `./dev faults --drain` does.
///
/// Caught: a drain that closes all sockets at once, with the same time to come back for all
/// (186 devices back within 212 ms).
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_devices_of_a_gateway_that_ends_come_back_spread_and_nothing_is_lost() {
    limits::raise_open_files().unwrap();
    let options = drain::Options {
        sockets: 500,
        devices_each: 10,
        rate: 20.0,
        window: Duration::from_secs(30),
        reconnect_within: Duration::from_secs(3),
        seed: 5,
    };

    let report = Box::pin(drain::run(&options, &Screen::stdout())).await.unwrap();

    report.show(&Screen::stdout());
    assert!(report.outcome.is_held(), "{:?}", report.outcome);
    assert_eq!(report.returned, 500);
}
