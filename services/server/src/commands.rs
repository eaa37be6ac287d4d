//! The commands that end by themselves.

mod app_key;
mod app_token;
mod config;
mod migrate;

pub(crate) use app_key::{AppKey, app_key};
pub(crate) use app_token::{AppToken, app_token};
pub(crate) use config::{ConfigCommand, config};
pub(crate) use migrate::migrate;
