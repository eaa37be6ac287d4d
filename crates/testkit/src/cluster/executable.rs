use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::{environment, servers::program::is_program};

/// The `sotto` executable: the one that `SOTTO_BIN` names, or the one beside the
/// program that runs. A test lies one or two folders below it (`target/debug/deps`).
///
/// # Errors
///
/// When there is none; the message has the command that builds it.
pub fn executable() -> anyhow::Result<PathBuf> {
    if let Some(path) = environment::sotto_bin() {
        if is_program(&path) {
            return Ok(path);
        }
        bail!("SOTTO_BIN is {}, which is no program", path.display());
    }
    let running = std::env::current_exe()?;
    running
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join("sotto"))
        .find(|path| is_program(path))
        .with_context(|| {
            format!(
                "there is no `sotto` beside {}; build it with `cargo build --bin sotto`",
                running.display()
            )
        })
}
