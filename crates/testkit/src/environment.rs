//! The few variables that whoever runs a test may set.
#![expect(
    clippy::disallowed_methods,
    reason = "these come before any configuration: they say where it is to point"
)]

use std::{env, ffi::OsString, path::PathBuf};

/// `DATABASE_URL`: a Postgres to use in place of a private one. The user in it must
/// be allowed to create databases and roles.
pub fn database_url() -> Option<String> {
    text("DATABASE_URL")
}

/// `REDIS_URL`: a Redis to use in place of a private one.
pub fn redis_url() -> Option<String> {
    text("REDIS_URL")
}

/// `SOTTO_BIN`: the `sotto` executable, where it does not lie beside the one that runs.
pub(crate) fn sotto_bin() -> Option<PathBuf> {
    env::var_os("SOTTO_BIN").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The folders in which programs are looked for.
pub(crate) fn path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// The names of the variables that `sotto` would take for settings: a cluster is to
/// have those that it was given, not those of the shell that it was started from.
pub(crate) fn sotto_settings() -> Vec<OsString> {
    env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("SOTTO_"))
        .collect()
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
