//! Where programs lie.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::environment;

/// Folders that are not on every `PATH`.
const MORE: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Finds a program on the `PATH`, or among those for administrators.
pub fn find(name: &str) -> Option<PathBuf> {
    environment::path()
        .into_iter()
        .chain(MORE.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

/// The folders in which distributions put PostgreSQL's own programs, the newest
/// version first; few have them on the `PATH`.
pub fn postgres_folders() -> Vec<PathBuf> {
    let debian = versions("/usr/lib/postgresql", "");
    let fedora = versions("/usr", "pgsql-");
    debian.into_iter().chain(fedora).map(|(_, folder)| folder.join("bin")).collect()
}

/// Sub-folders of `parent` whose name is `prefix` and a version, the newest first.
fn versions(parent: &str, prefix: &str) -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix(prefix)?.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found
}

/// Whether a path leads to a file that may be run.
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
