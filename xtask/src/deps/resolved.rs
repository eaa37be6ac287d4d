//! The graph as cargo resolved it.

use std::collections::HashMap;

use cargo_metadata::{Dependency, DependencyKind, Metadata, Node, Package as Manifest};

use super::graph::{Graph, Kind, Package};

impl Graph {
    /// Takes over what cargo resolved, without what it will not build.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let manifests = &metadata.packages;
        let places: HashMap<_, _> =
            manifests.iter().enumerate().map(|(place, manifest)| (&manifest.id, place)).collect();
        let mut graph = Self {
            packages: manifests.iter().map(|manifest| package(manifest, metadata)).collect(),
        };
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            let Some(&from) = places.get(&node.id) else { continue };
            let Some(manifest) = manifests.get(from) else { continue };
            let Some(package) = graph.packages.get_mut(from) else { continue };
            for dependency in &node.deps {
                let Some(&to) = places.get(&dependency.pkg) else { continue };
                let Some(used) = manifests.get(to) else { continue };
                let kinds = dependency.dep_kinds.iter().map(|info| info.kind);
                let built = kinds.filter(|&kind| is_built(manifest, node, used, kind));
                package.dependencies.extend(built.map(|kind| (to, Kind::from(kind))));
            }
        }
        graph
    }
}

fn package(manifest: &Manifest, metadata: &Metadata) -> Package {
    let folder = manifest
        .manifest_path
        .parent()
        .filter(|_| manifest.source.is_none())
        .and_then(|folder| folder.strip_prefix(&metadata.workspace_root).ok())
        .map(ToString::to_string);
    Package { name: manifest.name.to_string(), folder, dependencies: Vec::new() }
}

impl From<DependencyKind> for Kind {
    fn from(kind: DependencyKind) -> Self {
        match kind {
            DependencyKind::Development => Self::Dev,
            DependencyKind::Build => Self::Build,
            _ => Self::Normal,
        }
    }
}

/// Whether a dependency is there in fact.
///
/// `cargo metadata` also shows optional ones that nothing but a weak feature
/// (`dependency?/feature`) speaks of. Those are resolved, and never built.
fn is_built(manifest: &Manifest, node: &Node, used: &Manifest, kind: DependencyKind) -> bool {
    manifest
        .dependencies
        .iter()
        .filter(|declared| *declared.name == *used.name && declared.kind == kind)
        .any(|declared| !declared.optional || is_switched_on(declared, manifest, node))
}

fn is_switched_on(declared: &Dependency, manifest: &Manifest, node: &Node) -> bool {
    let key = declared.rename.as_deref().unwrap_or(&declared.name);
    let enabled = node.features.iter().filter_map(|name| manifest.features.get(name.as_str()));
    enabled.flatten().any(|value| {
        value.strip_prefix("dep:") == Some(key)
            || value.split_once('/').is_some_and(|(name, _)| name == key)
    })
}
