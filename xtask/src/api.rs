//! `cargo xtask api`: the documents of the API, held against the specifications that
//! they are written in.

use std::{path::Path, process::Command};

use anyhow::bail;

use crate::workspace;

/// Where what checks them is installed.
const LINT: &str = "docs/api/lint";

/// Holds `openapi.json` against the rules of Redocly, and `asyncapi.json` against its own
/// parser.
pub(crate) fn lint(root: &Path) -> anyhow::Result<()> {
    if !workspace::is_there(Command::new("npm").arg("--version")) {
        bail!("this needs Node with npm, to run the checkers of the API documents");
    }
    let folder = root.join(LINT);
    workspace::install_node_packages(&folder)?;
    workspace::run(
        Command::new("node").args(["asyncapi.mjs", "../asyncapi.json"]).current_dir(&folder),
    )?;
    workspace::run(
        Command::new("node")
            .args(["node_modules/@redocly/cli/bin/cli.js", "lint", "../openapi.json"])
            // It asks the network whether there is a newer one, and says who uses it.
            .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
            .env("REDOCLY_TELEMETRY", "off")
            .current_dir(&folder),
    )
}
