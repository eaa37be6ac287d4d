//! The workspace that the command was called in, and programs that are run in it.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

/// Folders that hold nothing of ours.
const FOREIGN: [&str; 4] = [".dev", ".git", "node_modules", "target"];

/// The folder of the workspace around the current one.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let mut locate = Command::new(cargo_program());
    locate.args(["locate-project", "--workspace", "--message-format=plain"]);
    let manifest = output(&mut locate)?;
    let root = Path::new(manifest.trim()).parent().context("a manifest lies in a folder")?;
    Ok(root.to_owned())
}

/// The cargo that called us, to be run in the workspace. Builds need no database: they
/// go by the files in `.sqlx`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(cargo_program());
    command.current_dir(root).env("SQLX_OFFLINE", "true");
    command
}

fn cargo_program() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Runs a program to its end, and fails if it does.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = line(command);
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {line}"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// What a program says on its standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {line}"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a program is there and says what version it is.
pub(crate) fn is_there(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// All files of the workspace under `folder` whose names end with `.<extension>`.
pub(crate) fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_foreign = FOREIGN.iter().any(|name| entry.file_name() == *name);
            if entry.file_type()?.is_dir() && !is_foreign {
                folders.push(entry.path());
            } else if entry.path().extension() == Some(OsStr::new(extension)) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Installs the packages of a `requirements.txt` into `<name>` in the folder that cargo
/// builds into, unless they are there already. Does nothing without Python.
pub(crate) fn install_python_packages(requirements: &Path, name: &str) -> anyhow::Result<()> {
    let wanted = fs::read_to_string(requirements)?;
    // We lie in `<target>/<profile>`.
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2).context("a program lies in a folder")?;
    let folder = target.join(name);
    let installed = folder.join(".installed-from");
    let is_installed = fs::read_to_string(&installed).is_ok_and(|text| text == wanted);
    let python = || Command::new("python3");
    if is_installed || !is_there(python().args(["-c", "import ensurepip, venv"])) {
        return Ok(());
    }
    run(python().args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements))?;
    fs::write(installed, wanted)?;
    Ok(())
}

/// Installs the packages of a `package-lock.json`, unless they are there already. Does
/// nothing without npm.
pub(crate) fn install_node_packages(folder: &Path) -> anyhow::Result<()> {
    let lock = fs::read_to_string(folder.join("package-lock.json"))?;
    let installed = folder.join("node_modules/.installed-from");
    let is_installed = fs::read_to_string(&installed).is_ok_and(|text| text == lock);
    if is_installed || !is_there(Command::new("npm").arg("--version")) {
        return Ok(());
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder))?;
    fs::write(installed, lock)?;
    Ok(())
}
