//! `cargo xtask api`: the documents of the API, held against the specifications that
//! they are written in.

use std::{path::Path, process::Command};

use anyhow::bail;

use crate::workspace;

/// Where what checks them is installed.
const LINT: &str = "docs/api/lint";

/// What has to be installed for a running server to be held against `openapi.json`.
const REQUIREMENTS: &str = "docs/api/lint/requirements.txt";

/// Where that is installed, in the folder that cargo builds into. The test looks there.
const FUZZER: &str = "schemathesis";

/// Installs what makes up requests. Does nothing without Python.
pub(crate) fn install_fuzzer(root: &Path) -> anyhow::Result<()> {
    workspace::install_python_packages(&root.join(REQUIREMENTS), FUZZER)
}

/// Holds a running server against `openapi.json`, with requests that are made up from it.
pub(crate) fn fuzz(root: &Path) -> anyhow::Result<()> {
    install_fuzzer(root)?;
    workspace::run(workspace::cargo(root).args(["build", "--bin=sotto"]))?;
    let test =
        ["test", "--package=sotto-e2e", "--test=api", "--", "--test-threads=1", "--nocapture"];
    workspace::run(workspace::cargo(root).args(test))
}

/// The same as [`lint`], but where there is no npm it says so and passes it over, unless
/// this is continuous integration.
pub(crate) fn lint_where_possible(root: &Path) -> anyhow::Result<()> {
    if !has_npm() && std::env::var_os("CI").is_none() {
        eprintln!("passed over: the API documents need Node, from 18 on (Debian: nodejs and npm)");
        return Ok(());
    }
    lint(root)
}

fn has_npm() -> bool {
    workspace::is_there(Command::new("npm").arg("--version"))
}

/// Holds `openapi.json` against the rules of Redocly, and `asyncapi.json` against its own
/// parser.
pub(crate) fn lint(root: &Path) -> anyhow::Result<()> {
    if !has_npm() {
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
