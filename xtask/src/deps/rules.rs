//! Which package may not depend on which: the table that keeps the shape of the
//! workspace, and with it the promise that no service can read a message.

/// How far from a package a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What stands in its own `Cargo.toml`, dev-dependencies as well.
    Manifest,
    /// That, and whatever those depend on in turn to be built.
    Closure,
    /// What it is built from; its own tests may use more.
    Program,
}

/// A set of packages that another set of packages must stay clear of.
///
/// A pattern with a slash is matched with the package's folder, any other with its
/// name; a `*` at the end stands for anything.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) packages: &'static [&'static str],
    pub(crate) except: &'static [&'static str],
    pub(crate) must_not_use: &'static [&'static str],
    pub(crate) reach: Reach,
    pub(crate) because: &'static str,
}

/// A package that nobody may depend on, or only through the packages in `except_by`.
#[derive(Debug)]
pub(crate) struct Ban {
    pub(crate) package: &'static str,
    pub(crate) except_by: &'static [&'static str],
    pub(crate) because: &'static str,
}

/// The crates that hold private keys or ratchet state.
const SECRET_HOLDERS: &[&str] = &["sotto-client", "libsignal-*", "signal-crypto*", "spqr*"];

/// The MLS of the project.
const MLS: &[&str] = &["openmls*", "sotto-mls", "sotto-mls-provider"];

/// The rules. A new service is covered by its folder, without a line here.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        packages: &["services/*"],
        except: &[],
        must_not_use: SECRET_HOLDERS,
        reach: Reach::Closure,
        because: "only the client may hold private keys and ratchets: that the server cannot \
                  read is a fact of this graph",
    },
    Rule {
        packages: &["services/*"],
        except: &["services/server"],
        must_not_use: &["services/*"],
        reach: Reach::Closure,
        because: "services speak to one another over gRPC, and only the executable knows them all",
    },
    Rule {
        packages: &["services/*"],
        except: &[],
        must_not_use: &["rusqlite", "libsqlite3-sys", "openssl-sys"],
        reach: Reach::Closure,
        because: "the encrypted local store belongs to the client",
    },
    Rule {
        packages: &["services/*"],
        except: &["services/groups", "services/keys", "services/server"],
        must_not_use: MLS,
        reach: Reach::Closure,
        because: "groups follows the trees and keys checks KeyPackages; to the others MLS is bytes",
    },
    Rule {
        packages: &["services/server"],
        except: &[],
        must_not_use: MLS,
        reach: Reach::Manifest,
        because: "groups follows the trees and keys checks KeyPackages; to the others MLS is bytes",
    },
    Rule {
        packages: &["services/gateway"],
        except: &[],
        must_not_use: &["sqlx"],
        reach: Reach::Manifest,
        because: "the gateway has no database",
    },
    Rule {
        packages: &["crates/ids"],
        except: &[],
        must_not_use: &["tokio", "sqlx*", "redis", "actix-*", "tonic*", "sotto-*"],
        reach: Reach::Closure,
        because: "ids are plain values, without input, output or async",
    },
    Rule {
        packages: &["crates/proto"],
        except: &[],
        must_not_use: &["sqlx*", "redis", "actix-*", "sotto-kit", "sotto-store", "services/*"],
        reach: Reach::Closure,
        because: "the wire format knows neither stores nor services",
    },
    Rule {
        packages: &["crates/identity"],
        except: &[],
        must_not_use: &["tokio", "tonic", "reqwest"],
        reach: Reach::Manifest,
        because: "the rules of the sigchain are pure, so that clients and servers share them",
    },
    Rule {
        packages: &["crates/identity"],
        except: &[],
        must_not_use: &["sqlx*", "redis", "actix-*", "sotto-kit", "sotto-store", "services/*"],
        reach: Reach::Closure,
        because: "the rules of the sigchain are pure, so that clients and servers share them",
    },
    Rule {
        packages: &["crates/mls-provider", "crates/mls"],
        except: &[],
        must_not_use: &[
            "tokio",
            "sqlx*",
            "redis",
            "actix-*",
            "reqwest",
            "rusqlite",
            "sotto-kit",
            "sotto-store",
            "services/*",
        ],
        reach: Reach::Manifest,
        because: "the rules of groups are pure, so that clients and servers share them",
    },
    Rule {
        packages: &["crates/mls-provider", "crates/mls"],
        except: &[],
        must_not_use: &["sqlx*", "redis", "actix-*", "sotto-kit", "sotto-store", "services/*"],
        reach: Reach::Closure,
        because: "the rules of groups are pure, so that clients and servers share them",
    },
    Rule {
        packages: &[
            "crates/identity",
            "crates/kit",
            "crates/mls",
            "crates/mls-provider",
            "crates/proto",
            "crates/store",
        ],
        except: &[],
        must_not_use: SECRET_HOLDERS,
        reach: Reach::Program,
        because: "what services are made of holds no secrets either",
    },
    Rule {
        packages: &["crates/kit"],
        except: &[],
        must_not_use: &["sqlx*", "redis", "sotto-store", "services/*"],
        reach: Reach::Closure,
        because: "the kit knows no store and no word of the domain",
    },
    Rule {
        packages: &["crates/store"],
        except: &[],
        must_not_use: &["services/*"],
        reach: Reach::Closure,
        because: "services use the store, not the other way round",
    },
    Rule {
        packages: &["crates/client"],
        except: &[],
        must_not_use: &["sotto-kit", "sotto-store", "services/*"],
        reach: Reach::Closure,
        because: "apps carry the client, and none of the server with it",
    },
    Rule {
        packages: &["crates/testkit", "sotto-e2e", "sotto-load", "tools/*"],
        except: &[],
        must_not_use: &["sotto-kit", "sotto-store", "services/*"],
        reach: Reach::Closure,
        because: "tools and whole-system tests see what a user sees: the client and the executable",
    },
];

/// The bans.
pub(crate) const BANS: &[Ban] = &[
    Ban {
        package: "openssl-sys",
        except_by: &["libsqlite3-sys"],
        because: "TLS is rustls with aws-lc-rs; only SQLCipher is built with OpenSSL",
    },
    Ban { package: "native-tls", except_by: &[], because: "TLS is rustls with aws-lc-rs" },
    Ban {
        package: "ring",
        except_by: &[],
        because: "one provider of cryptography for TLS is enough, and that is aws-lc-rs",
    },
    Ban {
        package: "actix-governor",
        except_by: &[],
        because: "it is GPL-3.0, which a service must not contain",
    },
];
