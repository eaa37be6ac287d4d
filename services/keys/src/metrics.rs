//! Every metric of this service. Labels come from closed sets only.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_histogram, histogram};

const BUNDLE_SECONDS: &str = "sotto_keys_bundle_seconds";
const BUNDLES: &str = "sotto_keys_bundles_total";
const BUNDLE_WITHOUT_ONETIME: &str = "sotto_keys_bundle_without_onetime_total";
const LOW_WATER: &str = "sotto_keys_low_water_total";
const PREKEYS_UPLOADED: &str = "sotto_keys_prekeys_uploaded_total";
const TOKENS_ISSUED: &str = "sotto_keys_tokens_issued_total";
const TOKENS_REFUSED: &str = "sotto_keys_tokens_refused_total";
const CHALLENGES: &str = "sotto_keys_challenges_total";
const ACCOUNTS: &str = "sotto_keys_accounts_registered_total";
const OPS: &str = "sotto_keys_ops_appended_total";
const HEAD_MOVED: &str = "sotto_keys_head_moved_total";
const DEVICES_REVOKED: &str = "sotto_keys_devices_revoked_total";
const DEVICE_SETS: &str = "sotto_keys_device_sets_total";
const HINTS_LOST: &str = "sotto_keys_hints_lost_total";

/// Says what each metric means.
pub(crate) fn describe() {
    describe_histogram!(
        BUNDLE_SECONDS,
        metrics::Unit::Seconds,
        "Time to take the bundles of one account, refused requests not included"
    );
    describe_counter!(BUNDLES, "Bundles handed out, one for each device");
    describe_counter!(
        BUNDLE_WITHOUT_ONETIME,
        "Bundles without a one-time key of a kind (ec, kyber), as the shelf was empty"
    );
    describe_counter!(LOW_WATER, "Bundles that left a device with few one-time keys");
    describe_counter!(
        PREKEYS_UPLOADED,
        "Prekeys of accepted uploads, by kind and by what became of them: stored, known, spent"
    );
    describe_counter!(TOKENS_ISSUED, "Sotto tokens issued");
    describe_counter!(TOKENS_REFUSED, "Logins refused, by the reason that the caller was told");
    describe_counter!(CHALLENGES, "Challenges given out");
    describe_counter!(ACCOUNTS, "Accounts registered");
    describe_counter!(OPS, "Ops appended to chains, those of registrations included");
    describe_counter!(HEAD_MOVED, "Appends refused since another one came first");
    describe_counter!(DEVICES_REVOKED, "Devices revoked");
    describe_counter!(DEVICE_SETS, "Device sets looked up by other roles");
    describe_counter!(
        HINTS_LOST,
        "Hints to gateways and other roles (devices, revoked, low_water) that redis did not take"
    );
}

/// The bundles of one account were taken.
pub(crate) fn bundles_taken(bundles: usize, elapsed: Duration) {
    histogram!(BUNDLE_SECONDS).record(elapsed.as_secs_f64());
    counter!(BUNDLES).increment(bundles as u64);
}

/// A shelf had no one-time key of this kind.
pub(crate) fn without_onetime(kind: &'static str) {
    counter!(BUNDLE_WITHOUT_ONETIME, "kind" => kind).increment(1);
}

/// A device has few one-time keys left.
pub(crate) fn low_water() {
    counter!(LOW_WATER).increment(1);
}

/// Prekeys of one kind were uploaded.
pub(crate) fn prekeys_uploaded(kind: &'static str, stored: usize, known: usize, spent: usize) {
    for (outcome, count) in [("stored", stored), ("known", known), ("spent", spent)] {
        counter!(PREKEYS_UPLOADED, "kind" => kind, "outcome" => outcome).increment(count as u64);
    }
}

/// A login succeeded.
pub(crate) fn token_issued() {
    counter!(TOKENS_ISSUED).increment(1);
}

/// A login was refused.
pub(crate) fn token_refused(reason: &'static str) {
    counter!(TOKENS_REFUSED, "reason" => reason).increment(1);
}

/// A challenge was given out.
pub(crate) fn challenge_issued() {
    counter!(CHALLENGES).increment(1);
}

/// An account was registered.
pub(crate) fn account_registered() {
    counter!(ACCOUNTS).increment(1);
}

/// Ops were appended.
pub(crate) fn ops_appended(count: usize) {
    counter!(OPS).increment(count as u64);
}

/// An append came too late.
pub(crate) fn head_moved() {
    counter!(HEAD_MOVED).increment(1);
}

/// Devices were revoked.
pub(crate) fn devices_revoked(count: usize) {
    counter!(DEVICES_REVOKED).increment(count as u64);
}

/// Device sets were looked up.
pub(crate) fn device_sets(count: usize) {
    counter!(DEVICE_SETS).increment(count as u64);
}

/// Redis did not take a hint.
pub(crate) fn hint_lost(hint: &'static str) {
    counter!(HINTS_LOST, "hint" => hint).increment(1);
}
