//! `cargo xtask deps`: fails on a dependency that the shape of the workspace forbids.

mod graph;
mod resolved;
mod rules;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path, process::Command};

use anyhow::{Context as _, bail};
use cargo_metadata::MetadataCommand;

use self::{
    graph::{Graph, Package},
    rules::{BANS, Ban, RULES, Reach, Rule},
};
use crate::workspace;

/// A forbidden dependency, and how the package comes by it.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    path: Vec<String>,
    because: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}", self.path.join(" -> "), self.because)
    }
}

/// Checks the workspace at `root`, for the platform that this machine is.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    // Without the filter cargo would download the crates of all platforms there are.
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(["--filter-platform".to_owned(), host()?])
        .exec()?;

    let violations = violations(&Graph::of(&metadata));

    if violations.is_empty() {
        println!("dependencies: no forbidden edge");
        return Ok(());
    }
    for violation in &violations {
        eprintln!("forbidden dependency: {violation}");
    }
    bail!("{} forbidden dependencies", violations.len());
}

fn host() -> anyhow::Result<String> {
    let version = workspace::output(Command::new("rustc").arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc does not say what it runs on")
}

fn violations(graph: &Graph) -> Vec<Violation> {
    let broken = RULES.iter().flat_map(|rule| breaches(rule, graph));
    let banned = BANS.iter().filter_map(|ban| trespass(ban, graph));
    broken.chain(banned).collect()
}

/// One violation for each package that the rule speaks of and that breaks it.
fn breaches(rule: &Rule, graph: &Graph) -> Vec<Violation> {
    let bound = |package: &Package| {
        matches_any(rule.packages, package) && !matches_any(rule.except, package)
    };
    let forbidden = |package: &Package| matches_any(rule.must_not_use, package);
    let members = graph.members().filter(|&member| graph.packages.get(member).is_some_and(bound));
    members
        .filter_map(|member| match rule.reach {
            Reach::Closure => graph.shortest_path(member, true, forbidden),
            Reach::Program => graph.shortest_path(member, false, forbidden),
            Reach::Manifest => direct(graph, member, forbidden),
        })
        .map(|path| Violation {
            path: path.into_iter().map(str::to_owned).collect(),
            because: rule.because,
        })
        .collect()
}

fn direct(graph: &Graph, from: usize, forbidden: impl Fn(&Package) -> bool) -> Option<Vec<&str>> {
    let package = graph.packages.get(from)?;
    let mut used = package.dependencies.iter().filter_map(|&(to, _)| graph.packages.get(to));
    let to = used.find(|package| forbidden(package))?;
    Some(vec![&package.name, &to.name])
}

/// How the workspace comes by a banned package, other than by the exceptions.
fn trespass(ban: &Ban, graph: &Graph) -> Option<Violation> {
    let uses_it = |package: &Package| {
        !ban.except_by.contains(&package.name.as_str())
            && package
                .dependencies
                .iter()
                .filter_map(|&(to, _)| graph.packages.get(to))
                .any(|to| to.name == ban.package)
    };
    graph.members().find_map(|member| {
        let package = graph.packages.get(member)?;
        let path = if uses_it(package) {
            vec![package.name.as_str()]
        } else {
            graph.shortest_path(member, true, uses_it)?
        };
        Some(Violation {
            path: path.into_iter().chain([ban.package]).map(str::to_owned).collect(),
            because: ban.because,
        })
    })
}

fn matches_any(patterns: &[&str], package: &Package) -> bool {
    patterns.iter().any(|pattern| {
        let text = if pattern.contains('/') {
            package.folder.as_deref().unwrap_or_default()
        } else {
            &package.name
        };
        match pattern.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == *pattern,
        }
    })
}
