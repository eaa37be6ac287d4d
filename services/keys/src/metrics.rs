//! Every metric of this service. Labels come from closed sets only.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const BUNDLE_SECONDS: &str = "sotto_keys_bundle_seconds";
const BUNDLES: &str = "sotto_keys_bundles_total";
const BUNDLE_WITHOUT_ONETIME: &str = "sotto_keys_bundle_without_onetime_total";
const CLAIMS_REFUSED: &str = "sotto_keys_claims_refused_total";
const LOW_WATER: &str = "sotto_keys_low_water_total";
const PREKEYS_UPLOADED: &str = "sotto_keys_prekeys_uploaded_total";
const KEY_PACKAGES_UPLOADED: &str = "sotto_keys_key_packages_uploaded_total";
const KEY_PACKAGES_CLAIMED: &str = "sotto_keys_key_packages_claimed_total";
const KEY_PACKAGES_LOW: &str = "sotto_keys_key_packages_low_total";
const KEY_PACKAGES_OVER: &str = "sotto_keys_key_packages_over_total";
const STALE_SIGNED_PREKEYS: &str = "sotto_keys_stale_signed_prekeys";
const TOKENS_ISSUED: &str = "sotto_keys_tokens_issued_total";
const TOKENS_REFUSED: &str = "sotto_keys_tokens_refused_total";
const CHALLENGES: &str = "sotto_keys_challenges_total";
const ACCOUNTS: &str = "sotto_keys_accounts_registered_total";
const REGISTRATIONS_REFUSED: &str = "sotto_keys_registrations_refused_total";
const WORK_CHALLENGES: &str = "sotto_keys_work_challenges_total";
const MAILBOXES: &str = "sotto_keys_mailboxes_total";
const KEY_SETS: &str = "sotto_keys_key_sets_total";
const OPS: &str = "sotto_keys_ops_appended_total";
const HEAD_MOVED: &str = "sotto_keys_head_moved_total";
const RECOVERIES: &str = "sotto_keys_recoveries_total";
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
    describe_counter!(
        CLAIMS_REFUSED,
        "Requests for bundles or KeyPackages refused, as the device had claimed too much of the account"
    );
    describe_counter!(LOW_WATER, "Bundles that left a device with few one-time keys");
    describe_counter!(
        PREKEYS_UPLOADED,
        "Prekeys of accepted uploads, by kind and by what became of them: stored, known, spent"
    );
    describe_counter!(
        KEY_PACKAGES_UPLOADED,
        "KeyPackages of accepted uploads, by kind (one_time, last_resort) and by what became of them: stored, known, spent"
    );
    describe_counter!(
        KEY_PACKAGES_CLAIMED,
        "Devices whose KeyPackages were claimed, by what there was: one_time, last_resort, none"
    );
    describe_counter!(KEY_PACKAGES_LOW, "Claims that left a device with few one-time KeyPackages");
    describe_counter!(KEY_PACKAGES_OVER, "KeyPackages deleted as their lifetime was over");
    describe_gauge!(
        STALE_SIGNED_PREKEYS,
        "Devices whose signed EC prekey is older than keys.prekeys.stale_after, as last counted"
    );
    describe_counter!(TOKENS_ISSUED, "Sotto tokens issued, by app");
    describe_counter!(TOKENS_REFUSED, "Logins refused, by the reason that the caller was told");
    describe_counter!(CHALLENGES, "Challenges given out");
    describe_counter!(ACCOUNTS, "Accounts registered, by app");
    describe_counter!(
        REGISTRATIONS_REFUSED,
        "Registrations refused, by the reason that the caller was told"
    );
    describe_counter!(WORK_CHALLENGES, "Challenges for a proof of work given out");
    describe_counter!(MAILBOXES, "Mailboxes for linking a device opened");
    describe_counter!(
        KEY_SETS,
        "Fetches of the key sets that apps publish, by app and outcome: fetched, failed"
    );
    describe_counter!(OPS, "Ops appended to chains, those of registrations included");
    describe_counter!(HEAD_MOVED, "Appends refused since another one came first");
    describe_counter!(RECOVERIES, "Accounts brought back by their recovery set");
    describe_counter!(DEVICES_REVOKED, "Devices revoked");
    describe_counter!(DEVICE_SETS, "Device sets looked up by other roles");
    describe_counter!(
        HINTS_LOST,
        "Hints to gateways and other roles (devices, revoked, low_water, key_packages_low) that redis did not take"
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

/// A device had claimed too much of one account.
pub(crate) fn claim_refused() {
    counter!(CLAIMS_REFUSED).increment(1);
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

/// KeyPackages of one kind were uploaded.
pub(crate) fn key_packages_uploaded(kind: &'static str, stored: usize, known: usize, spent: usize) {
    for (outcome, count) in [("stored", stored), ("known", known), ("spent", spent)] {
        counter!(KEY_PACKAGES_UPLOADED, "kind" => kind, "outcome" => outcome)
            .increment(count as u64);
    }
}

/// A KeyPackage of this kind was handed out, or `none`.
pub(crate) fn key_package_claimed(kind: &'static str) {
    counter!(KEY_PACKAGES_CLAIMED, "kind" => kind).increment(1);
}

/// A device has few one-time KeyPackages left.
pub(crate) fn key_packages_low() {
    counter!(KEY_PACKAGES_LOW).increment(1);
}

/// KeyPackages were deleted.
pub(crate) fn key_packages_over(count: u64) {
    counter!(KEY_PACKAGES_OVER).increment(count);
}

/// Signed EC prekeys that have grown old were counted.
pub(crate) fn stale_signed_prekeys(count: i64) {
    // A gauge is a float, which holds any count of devices exactly.
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^53 devices")]
    gauge!(STALE_SIGNED_PREKEYS).set(count as f64);
}

/// A login succeeded. Apps are those of the configuration.
pub(crate) fn token_issued(app: &str) {
    counter!(TOKENS_ISSUED, "app" => app.to_owned()).increment(1);
}

/// A login was refused.
pub(crate) fn token_refused(reason: &'static str) {
    counter!(TOKENS_REFUSED, "reason" => reason).increment(1);
}

/// A challenge was given out.
pub(crate) fn challenge_issued() {
    counter!(CHALLENGES).increment(1);
}

/// An account was registered. Apps are those of the configuration.
pub(crate) fn account_registered(app: &str) {
    counter!(ACCOUNTS, "app" => app.to_owned()).increment(1);
}

/// A registration was refused.
pub(crate) fn registration_refused(reason: &'static str) {
    counter!(REGISTRATIONS_REFUSED, "reason" => reason).increment(1);
}

/// A challenge for a proof of work was given out.
pub(crate) fn work_challenge_issued() {
    counter!(WORK_CHALLENGES).increment(1);
}

/// A mailbox was opened.
pub(crate) fn mailbox_opened() {
    counter!(MAILBOXES).increment(1);
}

/// The key set of an app was asked for.
pub(crate) fn key_set_fetched(app: &str, outcome: &'static str) {
    counter!(KEY_SETS, "app" => app.to_owned(), "outcome" => outcome).increment(1);
}

/// Ops were appended.
pub(crate) fn ops_appended(count: usize) {
    counter!(OPS).increment(count as u64);
}

/// An append came too late.
pub(crate) fn head_moved() {
    counter!(HEAD_MOVED).increment(1);
}

/// Accounts were brought back.
pub(crate) fn recovered(count: usize) {
    counter!(RECOVERIES).increment(count as u64);
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
