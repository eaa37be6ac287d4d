//! `cargo xtask docs`: holds the documents against the sources.
//!
//! - A relative link leads to a file that exists.
//! - A test that ARCHITECTURE.md names exists.
//! - A setting that a document names exists.
//! - `docs/reference/errors.md` lists each word that a program can branch on, and no
//!   other. It is generated; the comparison is by another way of reading the sources.
//! - `docs/reference/metrics.md` is what the sources say of the metrics. It is
//!   generated.
//! - `docs/reference/limits.md` is what the classes and their defaults say. It is
//!   generated.
//! - `docs/api/asyncapi.json` is what `proto/` says of the socket. It is generated.
//! - `docs/api/openapi.json` is what `sotto openapi` prints. Each handler that a route
//!   calls is described in it.

mod asyncapi;
mod errors;
mod limits;
mod metrics;
mod openapi;
mod reasons;
mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use self::settings::Settings;
use crate::workspace;

/// A Rust file.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The folder of the crate that it belongs to, such as `keys` of `services/keys`.
    fn of(&self) -> &str {
        let folders: Vec<_> = self.path.iter().filter_map(|part| part.to_str()).collect();
        let src = folders.iter().position(|part| *part == "src").unwrap_or_default();
        src.checked_sub(1).and_then(|at| folders.get(at)).copied().unwrap_or_default()
    }

    /// Whether nothing but tests is in it.
    fn is_test(&self) -> bool {
        self.path.iter().any(|part| part == "tests" || part == "tests.rs")
    }
}

const METRICS: &str = "docs/reference/metrics.md";
const ASYNCAPI: &str = "docs/api/asyncapi.json";
const OPENAPI: &str = "docs/api/openapi.json";
const ERRORS: &str = "docs/reference/errors.md";
const LIMITS: &str = "docs/reference/limits.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Writes what is generated.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    fs::write(root.join(METRICS), metrics::reference(&sources(root)?)?)?;
    println!("{METRICS}: written");
    fs::write(root.join(ERRORS), errors::reference(&sources(root)?)?)?;
    println!("{ERRORS}: written");
    fs::write(root.join(LIMITS), limits::reference(root)?)?;
    println!("{LIMITS}: written");
    fs::write(root.join(ASYNCAPI), asyncapi::document(root)?)?;
    println!("{ASYNCAPI}: written");
    fs::write(root.join(OPENAPI), openapi::document(root)?)?;
    println!("{OPENAPI}: written");
    Ok(())
}

/// Reports all that is wrong.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let sources = sources(root)?;
    let settings = Settings::read(root)?;
    let mut problems = Vec::new();
    for file in workspace::files(root, "md")? {
        let text = fs::read_to_string(&file)?;
        let folder = file.parent().context("a file lies in a folder")?;
        let shown = file.strip_prefix(root).unwrap_or(&file).display();
        for link in relative_links(&text).filter(|link| !folder.join(link).exists()) {
            problems.push(format!("{shown}: the link to {link} leads nowhere"));
        }
        for name in code_spans(&text).filter(|code| settings.lack(code)) {
            problems.push(format!("{shown}: there is no setting {name}"));
        }
    }

    let architecture = fs::read_to_string(root.join(ARCHITECTURE))?;
    for name in test_names(&architecture) {
        if !sources.iter().any(|source| source.text.contains(&format!("fn {name}("))) {
            problems.push(format!("{ARCHITECTURE}: there is no test {name}"));
        }
    }

    let errors = fs::read_to_string(root.join(ERRORS))?;
    let differences = reasons::differences(&errors, &sources);
    problems.extend(differences.into_iter().map(|difference| format!("{ERRORS}: {difference}")));
    if errors != errors::reference(&sources)? {
        problems.push(format!("{ERRORS} is out of date: run `cargo xtask docs --write`"));
    }

    if fs::read_to_string(root.join(METRICS)).ok() != Some(metrics::reference(&sources)?) {
        problems.push(format!("{METRICS} is out of date: run `cargo xtask docs --write`"));
    }

    if fs::read_to_string(root.join(LIMITS)).ok() != Some(limits::reference(root)?) {
        problems.push(format!("{LIMITS} is out of date: run `cargo xtask docs --write`"));
    }

    if fs::read_to_string(root.join(ASYNCAPI)).ok() != Some(asyncapi::document(root)?) {
        problems.push(format!("{ASYNCAPI} is out of date: run `cargo xtask docs --write`"));
    }

    if fs::read_to_string(root.join(OPENAPI)).ok() != Some(openapi::document(root)?) {
        problems.push(format!("{OPENAPI} is out of date: run `cargo xtask docs --write`"));
    }
    problems.extend(openapi::undescribed(&sources)?);

    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    println!("documents: links, tests, errors, metrics and limits are as the sources have them");
    Ok(())
}

/// All sources but those of this command.
fn sources(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in workspace::files(root, "rs")? {
        let text = fs::read_to_string(&path)?;
        let path = path.strip_prefix(root)?.to_owned();
        if !path.starts_with("xtask") {
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

/// The targets of Markdown links within the repository, without their anchors.
fn relative_links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains(':'))
}

/// What is set as code within a line.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// What is set as code and reads like the name of a test: four words or more.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    code_spans(text).filter(|code| is_word(code) && code.matches('_').count() >= 3)
}

/// Whether a text has only what names in Rust have.
fn is_word(text: &str) -> bool {
    let of_alphabet = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(of_alphabet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_knows_its_crate() {
        let of = |path: &str| Source { path: path.into(), text: String::new() }.of().to_owned();

        assert_eq!(of("services/groups/src/domain/refusal.rs"), "groups");
        assert_eq!(of("e2e/src/lib.rs"), "e2e");
        assert_eq!(of("e2e/tests/all.rs"), "");
    }

    #[test]
    fn links_within_the_repository_are_found() {
        let text = "[a](docs/a.md#part) [b](https://example.org) ![c](../c.png) [d](#here)";

        assert_eq!(relative_links(text).collect::<Vec<_>>(), ["docs/a.md", "../c.png"]);
    }

    #[test]
    fn names_of_tests_are_told_from_other_code() {
        let text = "`a_crowd_gets_its_keys` holds it, with `client_msg_id` and `cargo xtask deps`";

        assert_eq!(test_names(text).collect::<Vec<_>>(), ["a_crowd_gets_its_keys"]);
    }
}
