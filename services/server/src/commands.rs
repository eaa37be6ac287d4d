//! The commands that end by themselves.

mod app_key;
mod app_token;
mod config;
mod invite;
mod migrate;
mod openapi;
mod read_only;

pub(crate) use app_key::{AppKey, app_key};
pub(crate) use app_token::{AppToken, app_token};
pub(crate) use config::{ConfigCommand, config};
pub(crate) use invite::{Invite, invite};
pub(crate) use migrate::migrate;
pub(crate) use openapi::openapi;
pub(crate) use read_only::{ReadOnlyCommand, read_only};
