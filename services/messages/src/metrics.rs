//! Every metric of this service. Labels come from closed sets.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::Class;

const ACCEPTED: &str = "sotto_messages_accepted_total";
const EPHEMERAL: &str = "sotto_messages_ephemeral_total";
const RETRACTED: &str = "sotto_messages_retracted_total";
const TURNED_AWAY: &str = "sotto_messages_turned_away_total";
const FILLS_MEASURED: &str = "sotto_messages_fills_measured_total";
const REFUSED: &str = "sotto_messages_refused_total";
const ENVELOPES: &str = "sotto_messages_envelopes_total";
const COMMIT_ROWS: &str = "sotto_messages_commit_rows";
const COMMIT_SECONDS: &str = "sotto_messages_commit_seconds";
const COMMITS_FAILED: &str = "sotto_messages_commits_failed_total";
const HINTS: &str = "sotto_messages_hints_total";
const ACKNOWLEDGED: &str = "sotto_messages_acknowledged_total";
const ACKS_FAILED: &str = "sotto_messages_acks_failed_total";
const PAGE_SECONDS: &str = "sotto_messages_queue_page_seconds";
const PAGES_FAILED: &str = "sotto_messages_pages_failed_total";
const PAGES_REVOKED: &str = "sotto_messages_pages_revoked_total";
const PURGED: &str = "sotto_messages_purged_total";
const PURGES_DROPPED: &str = "sotto_messages_purges_dropped_total";
const EXPIRED: &str = "sotto_messages_expired_total";
const PARTITIONS: &str = "sotto_messages_partitions_total";
const JOBS_FAILED: &str = "sotto_messages_jobs_failed_total";
const DEVICE_SETS_SECONDS: &str = "sotto_messages_device_sets_seconds";
const DEVICE_SETS: &str = "sotto_messages_device_sets_total";
const GATEWAYS: &str = "sotto_messages_gateways";
const BATCH_ITEMS: &str = "sotto_messages_batch_items";

/// Says what each of them means.
pub(crate) fn describe() {
    describe_counter!(ACCEPTED, "Sends that were taken, by class and app.");
    describe_counter!(EPHEMERAL, "Envelopes that are not stored, by what became of them.");
    describe_counter!(RETRACTED, "Envelopes that were retracted before they were fetched.");
    describe_counter!(TURNED_AWAY, "Envelopes that found the queue of their device full.");
    describe_counter!(FILLS_MEASURED, "Looks at how full the queue of a device is.");
    describe_counter!(REFUSED, "Sends that were not taken, by reason.");
    describe_counter!(ENVELOPES, "Envelopes that were new to their queue.");
    describe_histogram!(COMMIT_ROWS, "Rows in one insert.");
    describe_histogram!(COMMIT_SECONDS, "Duration of one insert and its commit.");
    describe_counter!(COMMITS_FAILED, "Inserts that failed.");
    describe_counter!(HINTS, "Durable envelopes by what became of their announcement.");
    describe_counter!(ACKNOWLEDGED, "Envelopes deleted because their device has them.");
    describe_counter!(ACKS_FAILED, "Acknowledgements passed over; their envelopes come again.");
    describe_histogram!(PAGE_SECONDS, "Duration of reading one page of a queue.");
    describe_counter!(PAGES_FAILED, "Pages that could not be read.");
    describe_counter!(PAGES_REVOKED, "Pages refused because their device was revoked.");
    describe_counter!(PURGED, "Envelopes deleted because their device was revoked.");
    describe_counter!(PURGES_DROPPED, "Accounts not looked at for revoked devices: too many.");
    describe_counter!(EXPIRED, "Envelopes swept because their own short life was over.");
    describe_counter!(PARTITIONS, "Days of the queue that were made or dropped.");
    describe_counter!(JOBS_FAILED, "Runs of a background job that failed.");
    describe_histogram!(DEVICE_SETS_SECONDS, "Duration of asking keys for device sets.");
    describe_counter!(DEVICE_SETS, "Device sets by where they came from.");
    describe_gauge!(GATEWAYS, "Gateways that are attached.");
    describe_histogram!(BATCH_ITEMS, "Items in one batch on the streams, by direction.");
}

/// `app` is one that the operator has configured, or stands for all others.
pub(crate) fn accepted(class: Class, app: &str) {
    counter!(ACCEPTED, "class" => class.label(), "app" => app.to_owned()).increment(1);
}

/// An envelope that is not stored.
pub(crate) fn passed_on(hint: Hint, envelopes: usize) {
    counter!(EPHEMERAL, "result" => hint.label()).increment(to_u64(envelopes));
}

pub(crate) fn retracted(rows: u64) {
    counter!(RETRACTED).increment(rows);
}

pub(crate) fn turned_away(envelopes: usize) {
    counter!(TURNED_AWAY).increment(to_u64(envelopes));
}

pub(crate) fn fills_measured(devices: usize) {
    counter!(FILLS_MEASURED).increment(to_u64(devices));
}

pub(crate) fn page_revoked() {
    counter!(PAGES_REVOKED).increment(1);
}

pub(crate) fn purged(rows: u64) {
    counter!(PURGED).increment(rows);
}

pub(crate) fn purge_dropped() {
    counter!(PURGES_DROPPED).increment(1);
}

pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// One group commit: how many rows it had, how many of them were new.
pub(crate) fn committed(rows: usize, new: u64, took: Duration) {
    histogram!(COMMIT_ROWS).record(to_f64(rows));
    histogram!(COMMIT_SECONDS).record(took);
    counter!(ENVELOPES).increment(new);
}

pub(crate) fn commit_failed() {
    counter!(COMMITS_FAILED).increment(1);
}

/// What became of the announcement of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// It went to the gateway of the device.
    Sent,
    /// The device is nowhere.
    Offline,
    /// Its gateway is not attached here.
    NotAttached,
    /// Its gateway is slow, or announcing is behind.
    Crowded,
    /// Redis could not be asked.
    PlacesAway,
}

impl Hint {
    const fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Offline => "offline",
            Self::NotAttached => "not_attached",
            Self::Crowded => "crowded",
            Self::PlacesAway => "places_away",
        }
    }
}

pub(crate) fn hinted(hint: Hint, envelopes: usize) {
    counter!(HINTS, "result" => hint.label()).increment(to_u64(envelopes));
}

pub(crate) fn acknowledged(rows: u64) {
    counter!(ACKNOWLEDGED).increment(rows);
}

pub(crate) fn acks_failed(ids: usize) {
    counter!(ACKS_FAILED).increment(to_u64(ids));
}

pub(crate) fn page_read(took: Duration) {
    histogram!(PAGE_SECONDS).record(took);
}

pub(crate) fn page_failed() {
    counter!(PAGES_FAILED).increment(1);
}

pub(crate) fn expired(rows: u64) {
    counter!(EXPIRED).increment(rows);
}

pub(crate) fn partitions(event: &'static str, days: u64) {
    counter!(PARTITIONS, "event" => event).increment(days);
}

pub(crate) fn job_failed(job: &'static str) {
    counter!(JOBS_FAILED, "job" => job).increment(1);
}

pub(crate) fn device_sets(source: &'static str, accounts: usize) {
    counter!(DEVICE_SETS, "source" => source).increment(to_u64(accounts));
}

pub(crate) fn device_sets_fetched(took: Duration) {
    histogram!(DEVICE_SETS_SECONDS).record(took);
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
