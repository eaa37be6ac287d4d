//! The stores: Postgres, which is the truth, and Redis, which holds what may be lost.
//!
//! It owns the migrations, the pools, and those Redis keys and channels that more
//! than one service speaks through: [`places`], [`notices`], [`device_changes`],
//! [`limits`] and [`read_only`].
//! What one service alone keeps in a store lives in that service.

pub mod device_changes;
pub mod limits;
pub mod notices;
pub mod places;
pub mod postgres;
pub mod read_only;
pub mod redis;

/// All migrations, one sequence for all services, forward only.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");
