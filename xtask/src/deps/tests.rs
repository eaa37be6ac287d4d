use super::{graph::Kind, *};

/// A workspace with one package of each kind that rules speak of, and the edges that
/// it is meant to have.
fn sound() -> Graph {
    let mut graph = Graph::default();
    for folder in [
        "crates/ids",
        "crates/proto",
        "crates/kit",
        "crates/store",
        "crates/identity",
        "crates/mls-provider",
        "crates/mls",
        "crates/client",
        "crates/testkit",
        "services/keys",
        "services/messages",
        "services/groups",
        "services/gateway",
        "services/server",
        "tools/cli",
        "e2e",
    ] {
        let name = folder.rsplit('/').next().unwrap();
        graph.packages.push(Package {
            name: format!("sotto-{name}"),
            folder: Some(folder.to_owned()),
            dependencies: Vec::new(),
        });
    }
    for name in [
        "libsignal-protocol-syft",
        "libsqlite3-sys",
        "openmls",
        "openssl-sys",
        "ring",
        "sqlx",
        "helper",
    ] {
        graph.packages.push(Package {
            name: name.to_owned(),
            folder: None,
            dependencies: Vec::new(),
        });
    }
    for (from, to) in [
        ("sotto-proto", "sotto-ids"),
        ("sotto-kit", "sotto-proto"),
        ("sotto-store", "sotto-kit"),
        ("sotto-store", "sqlx"),
        ("sotto-identity", "sotto-proto"),
        ("sotto-keys", "sotto-store"),
        ("sotto-keys", "sotto-identity"),
        ("sotto-messages", "sotto-store"),
        ("sotto-gateway", "sotto-store"),
        ("sotto-mls", "openmls"),
        ("sotto-mls", "sotto-mls-provider"),
        ("sotto-mls", "sotto-proto"),
        ("sotto-groups", "sotto-store"),
        ("sotto-groups", "sotto-mls"),
        ("sotto-keys", "sotto-mls"),
        ("sotto-server", "sotto-groups"),
        ("sotto-client", "sotto-mls"),
        ("sotto-server", "sotto-keys"),
        ("sotto-server", "sotto-messages"),
        ("sotto-server", "sotto-gateway"),
        ("sotto-client", "sotto-identity"),
        ("sotto-client", "libsignal-protocol-syft"),
        ("sotto-client", "libsqlite3-sys"),
        ("libsqlite3-sys", "openssl-sys"),
        ("sotto-cli", "sotto-client"),
        ("sotto-e2e", "sotto-client"),
        ("sotto-e2e", "sotto-testkit"),
    ] {
        graph.add(from, to, Kind::Normal);
    }
    graph
}

impl Graph {
    fn add(&mut self, from: &str, to: &str, kind: Kind) {
        let place = |name| self.packages.iter().position(|package| package.name == name).unwrap();
        let (from, to) = (place(from), place(to));
        self.packages[from].dependencies.push((to, kind));
    }

    fn with(mut self, edges: &[(&str, &str)]) -> Self {
        for (from, to) in edges {
            self.add(from, to, Kind::Normal);
        }
        self
    }
}

/// The paths that are complained about.
fn complaints(graph: &Graph) -> Vec<String> {
    violations(graph).into_iter().map(|violation| violation.path.join(" -> ")).collect()
}

#[test]
fn the_meant_shape_passes() {
    assert_eq!(complaints(&sound()), Vec::<String>::new());
}

#[test]
fn a_service_may_not_use_the_client() {
    let graph = sound().with(&[("sotto-messages", "sotto-client")]);

    let complaints = complaints(&graph);

    assert!(complaints.contains(&"sotto-messages -> sotto-client".to_owned()), "{complaints:?}");
    assert!(
        complaints.contains(&"sotto-server -> sotto-messages -> sotto-client".to_owned()),
        "the executable contains it too: {complaints:?}"
    );
}

#[test]
fn a_service_may_not_reach_libsignal_by_way_of_others() {
    let graph = sound().with(&[("sotto-keys", "helper"), ("helper", "libsignal-protocol-syft")]);

    let complaints = complaints(&graph);

    let path = "sotto-keys -> helper -> libsignal-protocol-syft".to_owned();
    assert!(complaints.contains(&path), "{complaints:?}");
}

#[test]
fn a_services_tests_may_not_use_the_client_either() {
    let mut graph = sound();
    graph.add("sotto-keys", "sotto-client", Kind::Dev);

    assert_eq!(complaints(&graph)[0], "sotto-keys -> sotto-client");
}

#[test]
fn the_tests_of_what_a_service_uses_do_not_count() {
    let mut graph = sound();
    graph.add("sotto-keys", "helper", Kind::Normal);
    graph.add("helper", "sotto-client", Kind::Dev);

    assert_eq!(complaints(&graph), Vec::<String>::new());
}

#[test]
fn the_tests_of_a_pure_crate_may_compare_it_with_the_real_thing() {
    let mut graph = sound();
    graph.add("sotto-identity", "libsignal-protocol-syft", Kind::Dev);

    assert_eq!(complaints(&graph), Vec::<String>::new());
}

#[test]
fn a_build_script_counts() {
    let mut graph = sound();
    graph.add("sotto-keys", "libsignal-protocol-syft", Kind::Build);

    assert_eq!(complaints(&graph)[0], "sotto-keys -> libsignal-protocol-syft");
}

#[test]
fn services_may_not_use_one_another() {
    let graph = sound().with(&[("sotto-messages", "sotto-gateway")]);

    assert_eq!(complaints(&graph), ["sotto-messages -> sotto-gateway"]);
}

#[test]
fn a_service_that_is_new_is_covered_by_its_folder() {
    let mut graph = sound();
    graph.packages.push(Package {
        name: "sotto-calls".to_owned(),
        folder: Some("services/calls".to_owned()),
        dependencies: Vec::new(),
    });
    let graph = graph.with(&[("sotto-calls", "sotto-client")]);

    assert_eq!(complaints(&graph)[0], "sotto-calls -> sotto-client");
}

#[test]
fn the_gateway_may_not_query_a_database() {
    let graph = sound().with(&[("sotto-gateway", "sqlx")]);

    assert_eq!(complaints(&graph), ["sotto-gateway -> sqlx"]);
}

#[test]
fn only_groups_and_keys_read_mls() {
    for (from, to) in [
        ("sotto-messages", "openmls"),
        ("sotto-gateway", "sotto-mls"),
        ("sotto-gateway", "sotto-mls-provider"),
        ("sotto-server", "openmls"),
    ] {
        let complaints = complaints(&sound().with(&[(from, to)]));
        assert!(complaints.contains(&format!("{from} -> {to}")), "{complaints:?}");
    }
}

#[test]
fn the_client_and_whole_system_tests_stay_out_of_the_server() {
    for (from, to) in [
        ("sotto-client", "sotto-kit"),
        ("sotto-client", "sotto-keys"),
        ("sotto-e2e", "sotto-gateway"),
        ("sotto-testkit", "sotto-store"),
        ("sotto-cli", "sotto-messages"),
    ] {
        let complaints = complaints(&sound().with(&[(from, to)]));
        assert!(complaints.contains(&format!("{from} -> {to}")), "{complaints:?}");
    }
}

#[test]
fn lower_crates_do_not_look_up() {
    for (from, to) in [
        ("sotto-ids", "sotto-proto"),
        ("sotto-proto", "sotto-kit"),
        ("sotto-kit", "sqlx"),
        ("sotto-store", "sotto-keys"),
        ("sotto-identity", "sqlx"),
        ("sotto-mls", "sotto-kit"),
        ("sotto-mls-provider", "sotto-store"),
        ("sotto-mls", "sotto-groups"),
        ("sotto-mls", "libsignal-protocol-syft"),
        ("sotto-kit", "libsignal-protocol-syft"),
    ] {
        let complaints = complaints(&sound().with(&[(from, to)]));
        assert!(complaints.contains(&format!("{from} -> {to}")), "{complaints:?}");
    }
}

#[test]
fn a_banned_crate_is_found_wherever_it_hides() {
    let graph = sound().with(&[("sotto-cli", "helper"), ("helper", "ring")]);

    assert_eq!(complaints(&graph), ["sotto-cli -> helper -> ring"]);
}

#[test]
fn a_banned_crate_is_allowed_only_where_the_ban_says() {
    let graph = sound().with(&[("sotto-cli", "openssl-sys")]);

    assert_eq!(complaints(&graph), ["sotto-cli -> openssl-sys"]);
}
