//! The schema `keys`: one file a table, one function a statement.
//!
//! Accounts are named by their UUID here, devices by their number. Times are
//! milliseconds since 1970.

pub(crate) mod accounts;
pub(crate) mod bindings;
pub(crate) mod bundles;
pub(crate) mod chain_ops;
pub(crate) mod device_sets;
pub(crate) mod devices;
pub(crate) mod handles;
pub(crate) mod invites;
pub(crate) mod key_package_claims;
pub(crate) mod last_resort_key_packages;
pub(crate) mod last_resort_kyber_prekeys;
pub(crate) mod mls_devices;
pub(crate) mod one_time_ec_prekeys;
pub(crate) mod one_time_key_packages;
pub(crate) mod one_time_kyber_prekeys;
pub(crate) mod shelves;
pub(crate) mod signed_ec_prekeys;
pub(crate) mod spent_key_packages;
pub(crate) mod token_keys;
