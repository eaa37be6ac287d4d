//! `cargo xtask sqlx`: what Postgres says of each query, in `.sqlx`, so that a build
//! needs no database.
//!
//! sqlx's macros write these files themselves when they are expanded with a database at
//! hand. So each crate that uses them is checked once more, against a fresh database
//! with all migrations.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use cargo_metadata::{Artifact, Message, Metadata, MetadataCommand, Package};
use sotto_testkit::{
    process::Life,
    servers::{Durability, Servers, Wanted},
};
use sqlx::{Connection as _, PgConnection, migrate::Migrator};
use tempfile::TempDir;

use crate::workspace;

/// The macros whose queries are checked when they are compiled.
const MACROS: [&str; 3] = ["query", "query_as", "query_scalar"];

/// The files by name.
type QueryFiles = BTreeMap<String, String>;

/// Fails where the committed files are not what the database says today.
pub(crate) async fn check(root: &Path) -> anyhow::Result<()> {
    let expected = describe(root).await?;
    let committed = read(&root.join(".sqlx"))?;
    let names: BTreeSet<_> = expected.keys().chain(committed.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        match (expected.get(name), committed.get(name)) {
            (Some(_), None) => differences.push(format!("{name} is missing")),
            (None, Some(_)) => differences.push(format!("{name} belongs to no query")),
            (Some(ours), Some(theirs)) if ours != theirs => {
                differences.push(format!("{name} is not what the database says"));
            }
            _ => {}
        }
    }
    if !differences.is_empty() {
        bail!("{}\nrun `cargo xtask sqlx`", differences.join("\n"));
    }
    println!("query files: {} up to date", expected.len());
    Ok(())
}

/// Replaces the files by what the database says.
pub(crate) async fn write(root: &Path) -> anyhow::Result<()> {
    let described = describe(root).await?;
    let folder = root.join(".sqlx");
    fs::create_dir_all(&folder)?;
    for name in read(&folder)?.keys().filter(|name| !described.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    for (name, text) in &described {
        fs::write(folder.join(name), text)?;
    }
    println!("query files: {} written", described.len());
    Ok(())
}

/// Has all queries described by a Postgres with all migrations.
async fn describe(root: &Path) -> anyhow::Result<QueryFiles> {
    let scratch = TempDir::new()?;
    let servers = Servers::start(&Wanted {
        dir: scratch.path().join("servers"),
        logs: scratch.path().join("logs"),
        durability: Durability::Fast,
        life: Life::Leashed,
        fresh_database: true,
    })
    .await?;
    migrate(root, servers.database_url()).await?;

    let folder = scratch.path().join("queries");
    fs::create_dir(&folder)?;
    let described = expand(root, servers.database_url(), &folder);

    servers.stop().await?;
    described?;
    read(&folder)
}

async fn migrate(root: &Path, database_url: &str) -> anyhow::Result<()> {
    let migrator = Migrator::new(root.join("migrations")).await?;
    let mut db = PgConnection::connect(database_url).await?;
    migrator.run(&mut db).await.context("the migrations do not run")?;
    db.close().await?;
    Ok(())
}

/// Checks the crates that use sqlx, so that its macros write into `folder`.
fn expand(root: &Path, database_url: &str, folder: &Path) -> anyhow::Result<()> {
    let metadata =
        MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let mut check = workspace::cargo(root);
    check
        .args(["check", "--tests", "--message-format=json-render-diagnostics"])
        .env("DATABASE_URL", database_url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", folder);
    let mut packages = Vec::new();
    for package in metadata.workspace_packages() {
        if has_checked_queries(package)? {
            check.args(["--package", &package.name]);
            packages.push(package);
        }
    }

    // What cargo finds unchanged it does not expand again, so such crates have to be
    // forgotten first. Only their checks are: what was built stays built.
    let unchanged = artifacts(&mut check)?.into_iter().filter(|artifact| artifact.fresh);
    let mut again = false;
    for artifact in unchanged {
        if let Some(package) = packages.iter().find(|package| package.id == artifact.package_id) {
            forget(&artifact, package, &metadata)?;
            again = true;
        }
    }
    if again {
        artifacts(&mut check)?;
    }
    Ok(())
}

/// Whether a package has queries that are checked when it is compiled.
fn has_checked_queries(package: &Package) -> anyhow::Result<bool> {
    let folder = package.manifest_path.parent().context("a manifest lies in a folder")?;
    for file in workspace::files(folder.as_std_path(), "rs")? {
        let text = fs::read_to_string(file)?;
        if MACROS.iter().any(|name| text.contains(&format!("{name}!("))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs cargo, and gives what it made, or found made already.
fn artifacts(cargo: &mut Command) -> anyhow::Result<Vec<Artifact>> {
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("the output was piped")?;
    let mut artifacts = Vec::new();
    for message in Message::parse_stream(std::io::BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message? {
            artifacts.push(artifact);
        }
    }
    if !child.wait()?.success() {
        bail!("the queries do not fit the database");
    }
    Ok(artifacts)
}

/// Makes cargo forget that it made an artifact.
fn forget(artifact: &Artifact, package: &Package, metadata: &Metadata) -> anyhow::Result<()> {
    let build = metadata.build_directory.as_ref().unwrap_or(&metadata.target_directory);
    for file in &artifact.filenames {
        // The file is `lib<crate>-<hash>.rmeta`, the record `<package>-<hash>`.
        let Some((_, hash)) = file.file_stem().and_then(|stem| stem.rsplit_once('-')) else {
            continue;
        };
        let record: PathBuf =
            build.join("debug/.fingerprint").join(format!("{}-{hash}", package.name)).into();
        fs::remove_dir_all(&record).with_context(|| {
            format!("cargo keeps its records elsewhere than in {}", record.display())
        })?;
    }
    Ok(())
}

fn read(folder: &Path) -> anyhow::Result<QueryFiles> {
    let mut files = QueryFiles::new();
    if !folder.exists() {
        return Ok(files);
    }
    for path in workspace::files(folder, "json")? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        files.insert(name.unwrap_or_default(), fs::read_to_string(&path)?);
    }
    Ok(files)
}
