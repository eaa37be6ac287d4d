//! The apps that this deployment serves: whose word on their users it takes, and
//! whose users may write to each other.

mod config;
mod jwks;
mod key;
mod pinned;
mod token;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use sotto_kit::{clock::SharedClock, lifecycle::Lifecycle};

pub use config::{AppConfig, AppsConfig, Jwk};
pub use token::AppTokenError;

#[cfg(fuzzing)]
pub(crate) use jwks::fuzz as fuzz_key_set;

use key::AppKey;
use pinned::{NoKeySet, PinnedKeys};

use crate::{
    BuildError,
    config::{AuthConfig, JwksConfig},
};

/// The registered apps.
pub(crate) struct Apps {
    registered: HashMap<String, App>,
    domain: String,
    max_life_s: u64,
    leeway_s: u64,
}

struct App {
    keys: AppKeys,
    interop: BTreeSet<String>,
}

/// The keys of one app, by kid. A kid belongs to its app: two apps may have keys of the
/// same name, and neither is ever looked for among those of the other.
enum AppKeys {
    /// Those of the configuration.
    Listed(HashMap<String, AppKey>),
    /// Those that the app publishes.
    Pinned(PinnedKeys),
}

impl AppKeys {
    fn of(
        id: &str,
        app: &AppConfig,
        jwks: JwksConfig,
        clock: &SharedClock,
        lifecycle: &Lifecycle,
    ) -> Result<Self, BuildError> {
        if let Some(url) = &app.jwks_url {
            let client = pinned::client(&jwks).map_err(BuildError::HttpClient)?;
            let (id, url) = (id.to_owned(), url.clone());
            let (clock, lifecycle) = (SharedClock::clone(clock), lifecycle.clone());
            let keys = PinnedKeys::new(id, url, client, jwks, clock, lifecycle);
            return Ok(Self::Pinned(keys));
        }
        if app.keys.is_empty() {
            return Err(BuildError::App(format!("{id} has none")));
        }
        let parse = |jwk: &Jwk| match AppKey::parse(jwk) {
            Ok(key) => Ok((jwk.kid.clone(), key)),
            Err(flaw) => Err(BuildError::App(format!("{id}: {flaw}"))),
        };
        Ok(Self::Listed(app.keys.iter().map(parse).collect::<Result<_, _>>()?))
    }

    async fn find(&self, kid: &str) -> Result<Option<AppKey>, NoKeySet> {
        match self {
            Self::Listed(keys) => Ok(keys.get(kid).cloned()),
            Self::Pinned(keys) => keys.find(kid).await,
        }
    }
}

/// A user of an app, by the app's word.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AppUser {
    pub(crate) app: String,
    /// The app's own name for the user.
    pub(crate) subject: String,
}

impl fmt::Debug for AppUser {
    /// Names nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppUser").field("app", &self.app).finish_non_exhaustive()
    }
}

impl fmt::Debug for Apps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Apps").field(&self.registered.keys()).finish()
    }
}

impl Apps {
    /// `domain` is the audience that tokens must have.
    ///
    /// An app without a key is refused, as is a key that is none: nothing would be left
    /// to hold its tokens against.
    pub(crate) fn new(
        config: &AppsConfig,
        domain: String,
        auth: AuthConfig,
        jwks: JwksConfig,
        clock: &SharedClock,
        lifecycle: &Lifecycle,
    ) -> Result<Self, BuildError> {
        let mut registered = HashMap::new();
        for (id, app) in &config.0 {
            let keys = AppKeys::of(id, app, jwks, clock, lifecycle)?;
            let interop = app.interop.iter().cloned().collect();
            registered.insert(id.clone(), App { keys, interop });
        }
        let (max_life, leeway) = (auth.app_token_max_life, auth.app_token_leeway);
        Ok(Self { registered, domain, max_life_s: max_life.as_secs(), leeway_s: leeway.as_secs() })
    }

    /// Whether users of one app may write to users of the other: the same app, or
    /// both list each other.
    pub(crate) fn may_meet(&self, one: &str, other: &str) -> bool {
        let lists = |app: &str, neighbour: &str| {
            self.registered.get(app).is_some_and(|app| app.interop.contains(neighbour))
        };
        one == other || (lists(one, other) && lists(other, one))
    }
}
