//! `.dev`: where everything that runs keeps its data.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use sotto_testkit::servers::postgres;

/// The folder of all that runs from this checkout.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder where it is missing.
    pub(crate) fn new(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { root: fs::canonicalize(dir)? })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Of `./dev up`. It stays.
    pub(crate) fn up(&self) -> PathBuf {
        self.root.join("up")
    }

    /// What `./dev up` left running.
    pub(crate) fn running(&self) -> PathBuf {
        self.root.join("up/running.json")
    }

    /// Of `./dev demo`. It goes when the demo ends.
    pub(crate) fn demo(&self) -> PathBuf {
        self.root.join("demo")
    }

    /// Lets one process at a time do what `name` stands for.
    pub(crate) fn lock(&self, name: &str) -> anyhow::Result<File> {
        let path = self.root.join(format!("{name}.lock"));
        let lock = File::options().create(true).truncate(false).write(true).open(&path)?;
        if lock.try_lock().is_err() {
            bail!("another `./dev {name}` is at work in {}", self.root.display());
        }
        Ok(lock)
    }
}

/// A folder of a cluster that goes with its handle.
#[derive(Debug)]
pub(crate) struct Passing(PathBuf);

impl Passing {
    /// Makes it empty, whatever an earlier run that was killed has left there.
    pub(crate) fn new(path: PathBuf) -> anyhow::Result<Self> {
        remove(&path)?;
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Lets it stay.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        remove(&self.0).ok();
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    postgres::remove_files(&path.join("postgres"))?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
