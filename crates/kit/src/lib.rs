//! What every service is made from: configuration, telemetry, lifecycle, errors,
//! authentication, and the three faces (public HTTP, internal gRPC, operations).
//!
//! It knows no word of the domain beyond the ids of `sotto-ids` and the table of
//! [`limits`], and neither Postgres nor Redis.

pub mod auth;
pub mod clock;
pub mod config;
pub mod fault;
pub mod grpc;
pub mod health;
pub mod http;
pub mod lifecycle;
pub mod limits;
pub mod listener;
pub mod openapi;
pub mod read_only;
pub mod service;
pub mod telemetry;

/// Makes aws-lc-rs the one provider of TLS cryptography in this process. Does nothing
/// when called again.
pub fn install_crypto_provider() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
