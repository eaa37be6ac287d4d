//! Commands to try on what runs: `sotto-cli` with everything it must be told.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sotto_testkit::cluster;

use crate::{
    folder::Folder,
    running::{Running, Token},
};

/// Writes a script for each person, which is `sotto-cli` as them: `.dev/up/alice send
/// bob hello`. Only the owner can read them; tokens are in them.
pub(super) fn write_scripts(running: &Running, folder: &Folder) -> anyhow::Result<()> {
    let program = cluster::executable()?.with_file_name("sotto-cli");
    for (gateway, token) in running.tokens.iter().enumerate() {
        let path = script_of(token, folder);
        // Each person tries another gateway first.
        let mut sockets = running.socket_urls.clone();
        let first = gateway % sockets.len().max(1);
        sockets.rotate_left(first);
        let profile = folder.up().join("people").join(&token.user);
        let settings = [
            ("SOTTO_PROFILE", profile.display().to_string()),
            ("SOTTO_DOMAIN", running.domain.clone()),
            ("SOTTO_REST", running.rest_url.clone()),
            ("SOTTO_SOCKET", sockets.join(",")),
            ("SOTTO_APP_TOKEN", token.token.clone()),
        ];
        let exports =
            settings.map(|(name, value)| format!("export {name}={}\n", quoted(&value))).concat();
        let program = quoted(&program.display().to_string());
        let script = format!("#!/bin/sh\n{exports}exec {program} \"$@\"\n");
        fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// A small conversation, ready to be pasted.
pub(super) fn story(running: &Running, folder: &Folder) -> Vec<String> {
    let [alice, bob] = running.tokens.as_slice() else { return Vec::new() };
    let (hers, his) = (shown(&script_of(alice, folder)), shown(&script_of(bob, folder)));
    vec![
        format!("{hers} register --handle {}", alice.user),
        format!("{his} register --handle {}", bob.user),
        format!("{hers} send {} 'hello, whenever you are back'", bob.user),
        format!("{his} listen --drain"),
        format!("{hers} verify {}", bob.user),
        format!("{hers} group create Dinner {}", bob.user),
        format!("{hers} group send Dinner 'at eight?'"),
    ]
}

fn script_of(token: &Token, folder: &Folder) -> PathBuf {
    folder.up().join(&token.user)
}

/// As short as it can be typed from here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let path = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    path.display().to_string()
}

/// A word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_one_word() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
