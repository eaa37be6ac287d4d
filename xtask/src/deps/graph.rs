//! The dependency graph of the workspace, reduced to what the rules ask of it.

use std::collections::{HashMap, VecDeque};

/// Why one package depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It becomes part of the program.
    Normal,
    /// It runs while the program is built.
    Build,
    /// Tests and examples of the package use it.
    Dev,
}

/// A package, and what it depends on.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Where it lies under the workspace's root, such as `services/keys`; `None` for
    /// a package from a registry.
    pub(crate) folder: Option<String>,
    pub(crate) dependencies: Vec<(usize, Kind)>,
}

/// Packages, named by their place in the list.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
}

impl Graph {
    /// Packages of the workspace itself.
    pub(crate) fn members(&self) -> impl Iterator<Item = usize> {
        self.packages
            .iter()
            .enumerate()
            .filter(|(_, package)| package.folder.is_some())
            .map(|(place, _)| place)
    }

    /// The shortest way from a package to one that `is_target` knows, both ends
    /// included.
    ///
    /// `with_tests` lets the first step be a dev-dependency. From there on those lead
    /// nowhere: the tests of what a package uses are not built with it.
    pub(crate) fn shortest_path(
        &self,
        from: usize,
        with_tests: bool,
        is_target: impl Fn(&Package) -> bool,
    ) -> Option<Vec<&str>> {
        let mut reached_from = HashMap::from([(from, None)]);
        let mut queue = VecDeque::from([from]);
        while let Some(here) = queue.pop_front() {
            let package = self.packages.get(here)?;
            if here != from && is_target(package) {
                return Some(self.way_back(here, &reached_from));
            }
            for &(next, kind) in &package.dependencies {
                let counts = kind != Kind::Dev || (with_tests && here == from);
                if counts && !reached_from.contains_key(&next) {
                    reached_from.insert(next, Some(here));
                    queue.push_back(next);
                }
            }
        }
        None
    }

    fn way_back(&self, end: usize, reached_from: &HashMap<usize, Option<usize>>) -> Vec<&str> {
        let steps = std::iter::successors(Some(end), |here| reached_from.get(here).copied()?);
        let mut names: Vec<_> = steps
            .filter_map(|step| self.packages.get(step))
            .map(|package| package.name.as_str())
            .collect();
        names.reverse();
        names
    }
}
