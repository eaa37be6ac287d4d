//! Every metric of this service. Labels come from closed sets.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use sotto_kit::fault::Fault as _;

use crate::error::GroupsError;

const ACCEPTED: &str = "sotto_groups_accepted_total";
const REPEATED: &str = "sotto_groups_repeated_total";
const STALE: &str = "sotto_groups_stale_total";
const REFUSED: &str = "sotto_groups_refused_total";
const STORE_MESSAGES: &str = "sotto_groups_store_messages";
const STORE_GROUPS: &str = "sotto_groups_store_groups";
const STORE_SECONDS: &str = "sotto_groups_store_seconds";
const STORES_FAILED: &str = "sotto_groups_stores_failed_total";
const PUBLICATIONS: &str = "sotto_groups_publications_total";
const WATCHED: &str = "sotto_groups_watched";
const WATCHES_REFUSED: &str = "sotto_groups_watches_refused_total";
const ROSTERS: &str = "sotto_groups_rosters_total";
const CURSORS: &str = "sotto_groups_cursors_total";
const PAGE_SECONDS: &str = "sotto_groups_page_seconds";
const READS_FAILED: &str = "sotto_groups_reads_failed_total";
const EXPIRED: &str = "sotto_groups_expired_total";
const SWEPT: &str = "sotto_groups_swept_total";
const SWEEPS_DROPPED: &str = "sotto_groups_sweeps_dropped_total";
const JOBS_FAILED: &str = "sotto_groups_jobs_failed_total";
const DEVICES: &str = "sotto_groups_devices_total";
const DEVICES_SECONDS: &str = "sotto_groups_devices_seconds";
const GATEWAYS: &str = "sotto_groups_gateways";
const BATCH_ITEMS: &str = "sotto_groups_batch_items";
const COMMITS: &str = "sotto_groups_commits_total";
const COMMIT_SECONDS: &str = "sotto_groups_commit_seconds";
const CHECK_SECONDS: &str = "sotto_groups_check_seconds";
const BEGUN: &str = "sotto_groups_begun_total";
const ENTRIES: &str = "sotto_groups_entries_total";
const NOTICES_LOST: &str = "sotto_groups_notices_lost_total";

/// Says what each of them means.
pub(crate) fn describe() {
    describe_counter!(ACCEPTED, "Messages that were stored.");
    describe_counter!(REPEATED, "Messages that were stored before and came again.");
    describe_counter!(STALE, "Messages of an epoch that was over.");
    describe_counter!(REFUSED, "Messages that were not taken, by reason.");
    describe_histogram!(STORE_MESSAGES, "Messages in one transaction.");
    describe_histogram!(STORE_GROUPS, "Groups in one transaction that stores messages.");
    describe_histogram!(STORE_SECONDS, "Duration of one transaction that stores messages.");
    describe_counter!(STORES_FAILED, "Transactions with messages that failed.");
    describe_counter!(PUBLICATIONS, "Publications to gateways, by what became of them.");
    describe_gauge!(WATCHED, "Groups that at least one gateway watches.");
    describe_counter!(WATCHES_REFUSED, "Groups that a gateway had no room left to watch.");
    describe_counter!(ROSTERS, "Rosters by where they came from.");
    describe_counter!(CURSORS, "Acknowledged cursors, by what became of them.");
    describe_histogram!(PAGE_SECONDS, "Duration of reading one page of a log.");
    describe_counter!(READS_FAILED, "Questions of gateways that could not be answered.");
    describe_counter!(EXPIRED, "Rows that were deleted because they were over, by table.");
    describe_counter!(SWEPT, "Devices that were found to be none of their account any more.");
    describe_counter!(SWEEPS_DROPPED, "Accounts not looked at for revoked devices: too many.");
    describe_counter!(JOBS_FAILED, "Runs of a background job that failed.");
    describe_counter!(DEVICES, "Accounts' devices by where they came from.");
    describe_histogram!(DEVICES_SECONDS, "Duration of asking keys for devices.");
    describe_gauge!(GATEWAYS, "Gateways that are attached.");
    describe_histogram!(BATCH_ITEMS, "Items in one batch on the streams, by direction.");
    describe_counter!(COMMITS, "Commits, by outcome: taken, or the reason of the refusal.");
    describe_histogram!(COMMIT_SECONDS, "Duration of commits that were taken.");
    describe_histogram!(CHECK_SECONDS, "Duration of checking one commit, reading it included.");
    describe_counter!(BEGUN, "Groups that began, by how: made, reset.");
    describe_counter!(ENTRIES, "Entries of logs that are no messages.");
    describe_counter!(NOTICES_LOST, "Devices not told of a group, as redis did not take it.");
}

/// One transaction: its messages that were new, and its groups.
pub(crate) fn stored(messages: usize, repeated: usize, groups: usize, took: Duration) {
    counter!(ACCEPTED).increment(to_u64(messages));
    counter!(REPEATED).increment(to_u64(repeated));
    histogram!(STORE_MESSAGES).record(to_f64(messages));
    histogram!(STORE_GROUPS).record(to_f64(groups));
    histogram!(STORE_SECONDS).record(took);
}

pub(crate) fn stale(messages: usize) {
    counter!(STALE).increment(to_u64(messages));
}

pub(crate) fn store_failed() {
    counter!(STORES_FAILED).increment(1);
}

pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// What became of a publication to one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// It went with its entries.
    Sent,
    /// It went without them.
    Hint,
    /// There was no room for it.
    Crowded,
}

impl Published {
    const fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Hint => "hint",
            Self::Crowded => "crowded",
        }
    }
}

pub(crate) fn published(how: Published) {
    counter!(PUBLICATIONS, "result" => how.label()).increment(1);
}

pub(crate) fn watched(groups: usize) {
    gauge!(WATCHED).set(to_f64(groups));
}

pub(crate) fn watch_refused() {
    counter!(WATCHES_REFUSED).increment(1);
}

pub(crate) fn rosters(source: &'static str, groups: usize) {
    counter!(ROSTERS, "source" => source).increment(to_u64(groups));
}

/// `result`: `moved`, `passed_over` where there was no room, or `failed`.
pub(crate) fn cursors(result: &'static str, cursors: usize) {
    counter!(CURSORS, "result" => result).increment(to_u64(cursors));
}

pub(crate) fn page_read(took: Duration) {
    histogram!(PAGE_SECONDS).record(took);
}

pub(crate) fn read_failed() {
    counter!(READS_FAILED).increment(1);
}

pub(crate) fn expired(table: &'static str, rows: u64) {
    counter!(EXPIRED, "table" => table).increment(rows);
}

pub(crate) fn swept(devices: usize) {
    counter!(SWEPT).increment(to_u64(devices));
}

pub(crate) fn sweep_dropped() {
    counter!(SWEEPS_DROPPED).increment(1);
}

pub(crate) fn job_failed(job: &'static str) {
    counter!(JOBS_FAILED, "job" => job).increment(1);
}

pub(crate) fn devices(source: &'static str, accounts: usize) {
    counter!(DEVICES, "source" => source).increment(to_u64(accounts));
}

pub(crate) fn devices_fetched(took: Duration) {
    histogram!(DEVICES_SECONDS).record(took);
}

pub(crate) fn gateways(attached: usize) {
    gauge!(GATEWAYS).set(to_f64(attached));
}

pub(crate) fn batch(direction: &'static str, items: usize) {
    histogram!(BATCH_ITEMS, "direction" => direction).record(to_f64(items));
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Exact for every count that a bound of ours allows.
fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// What became of a commit, and how long that took.
pub(crate) fn committed<T>(outcome: &Result<T, GroupsError>, took: Duration) {
    match outcome {
        Ok(_) => {
            counter!(COMMITS, "outcome" => "taken").increment(1);
            histogram!(COMMIT_SECONDS).record(took);
        }
        Err(error) => counter!(COMMITS, "outcome" => error.reason()).increment(1),
    }
}

/// A commit was checked, whatever came of it.
pub(crate) fn checked(took: Duration) {
    histogram!(CHECK_SECONDS).record(took);
}

/// `how`: `made` or `reset`.
pub(crate) fn begun(how: &'static str) {
    counter!(BEGUN, "how" => how).increment(1);
}

pub(crate) fn entries(count: usize) {
    counter!(ENTRIES).increment(to_u64(count));
}

pub(crate) fn notices_lost(devices: usize) {
    counter!(NOTICES_LOST).increment(to_u64(devices));
}
