//! I-4, and what members of a group were entitled to, among real clients of MLS.

use sotto_load::{groups, limits, screen::Screen};

/// A tenth of what `./dev groups-1500` does.
///
/// Caught: an update of the group's row that does not compare the epoch (two commits of one
/// epoch got in in the first race, one at each replica, and no member could follow both).
#[tokio::test(flavor = "multi_thread")]
async fn one_commit_an_epoch_wins_and_every_member_has_what_it_was_entitled_to_i_4() {
    limits::raise_open_files().unwrap();
    let options = groups::Options {
        members: 150,
        batch: 50,
        live: 30,
        senders: 20,
        messages_each: 4,
        updates: 10,
        race_members: 100,
        race_epochs: 5,
    };

    let report = Box::pin(groups::run(&options, &Screen::stdout())).await.unwrap();

    report.show(&Screen::stdout());
    assert!(report.outcome.is_held(), "{:?}", report.outcome);
    assert_eq!(report.verdict.members, 200);
    assert_eq!(report.verdict.entitled, report.verdict.shown);
    assert_eq!((report.races.offered, report.races.won), (500, 5));
    assert_eq!((report.races.brought, report.races.stale), (495, 5));
}
