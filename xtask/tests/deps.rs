//! `cargo xtask deps` on the real workspace, as it is and as it must not become.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cargo_metadata::MetadataCommand;
use tempfile::TempDir;

/// The manifests of the workspace in a folder of their own, with empty sources: all
/// that cargo needs to resolve dependencies.
struct Copy {
    root: TempDir,
}

impl Copy {
    fn of_the_workspace() -> Self {
        // Tests run in the folder of their package.
        let package = std::env::current_dir().unwrap();
        let original = package.parent().unwrap();
        let metadata = MetadataCommand::new()
            .manifest_path(original.join("Cargo.toml"))
            .no_deps()
            .exec()
            .unwrap();
        let root = TempDir::new().unwrap();
        let place = |file: &Path| root.path().join(file.strip_prefix(original).unwrap());
        for file in ["Cargo.toml", "Cargo.lock"] {
            fs::copy(original.join(file), root.path().join(file)).unwrap();
        }
        for package in &metadata.packages {
            for target in &package.targets {
                let source = place(target.src_path.as_std_path());
                fs::create_dir_all(source.parent().unwrap()).unwrap();
                fs::write(source, "").unwrap();
            }
            let manifest = package.manifest_path.as_std_path();
            fs::copy(manifest, place(manifest)).unwrap();
        }
        Self { root }
    }

    /// Adds a line to the dependencies of a package.
    fn depend(&self, folder: &str, line: &str) {
        let manifest: PathBuf = self.root.path().join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let changed = text.replacen("[dependencies]", &format!("[dependencies]\n{line}"), 1);
        assert_ne!(text, changed, "{folder} has a list of dependencies");
        fs::write(manifest, changed).unwrap();
    }

    /// Runs the command that people run. All crates are on this machine already, or
    /// this test could not have been built.
    fn deps(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("deps")
            .current_dir(self.root.path())
            .env("CARGO_NET_OFFLINE", "true")
            .output()
            .unwrap()
    }
}

fn assert_refused(output: &Output, path: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it passed: {stderr}");
    assert!(
        stderr.contains(&format!("forbidden dependency: {path}\n")),
        "the path is not named: {stderr}"
    );
}

#[test]
fn the_workspace_as_it_is_passes() {
    let output = Copy::of_the_workspace().deps();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_service_that_depends_on_the_client_is_refused() {
    let workspace = Copy::of_the_workspace();
    workspace.depend("services/messages", "sotto-client.workspace = true");

    let output = workspace.deps();

    assert_refused(&output, "sotto-messages -> sotto-client");
}

#[test]
fn a_service_that_depends_on_libsignal_is_refused() {
    let workspace = Copy::of_the_workspace();
    workspace.depend("services/messages", "libsignal-protocol.workspace = true");

    let output = workspace.deps();

    assert_refused(&output, "sotto-messages -> libsignal-protocol-syft");
}

#[test]
fn a_service_that_comes_by_the_client_through_the_kit_is_refused() {
    let workspace = Copy::of_the_workspace();
    workspace.depend("crates/store", "sotto-client.workspace = true");

    let output = workspace.deps();

    assert_refused(&output, "sotto-messages -> sotto-store -> sotto-client");
}
