//! `cargo xtask check`: everything that must hold before a change is taken.

use std::path::Path;

use anyhow::bail;

use crate::{api, deps, docs, sqlx_files, workspace};

/// Runs all checks, even after one has failed, so that one run shows all there is to
/// mend.
pub(crate) async fn run(root: &Path) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    let mut report = |name: &'static str, result: anyhow::Result<()>| {
        if let Err(error) = result {
            eprintln!("error: {name}: {error:#}");
            failed.push(name);
        }
    };

    step("format");
    report("format", format(root));
    step("clippy");
    report("clippy", clippy(root));
    step("dependencies");
    report("dependencies", deps::run(root));
    step("query files");
    report("query files", sqlx_files::check(root).await);
    step("documents");
    report("documents", docs::check(root));
    step("documents of the API");
    report("documents of the API", api::lint_where_possible(root));

    if !failed.is_empty() {
        bail!("these checks failed: {}", failed.join(", "));
    }
    println!("all checks passed");
    Ok(())
}

fn step(name: &str) {
    eprintln!("== {name}");
}

fn format(root: &Path) -> anyhow::Result<()> {
    workspace::run(workspace::cargo(root).args(["fmt", "--all", "--check"]))
}

fn clippy(root: &Path) -> anyhow::Result<()> {
    let mut clippy = workspace::cargo(root);
    clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--keep-going"]);
    workspace::run(clippy.args(["--", "--deny", "warnings"]))
}
