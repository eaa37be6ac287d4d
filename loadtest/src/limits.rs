//! The limit of open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises this process's limit of open files, and that of what it starts, as far as it
/// may go. Says how far that is.
///
/// # Errors
///
/// Those of the kernel.
pub fn raise_open_files() -> anyhow::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
