//! The apps that this deployment serves: whose word on their users it takes, and
//! whose users may write to each other.

mod config;
mod key;
mod token;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    time::Duration,
};

pub use config::{AppConfig, AppsConfig, Jwk};
pub use token::AppTokenError;

use key::{AppKey, JwkFlaw};

/// The registered apps.
pub(crate) struct Apps {
    registered: HashMap<String, App>,
    domain: String,
    max_life_s: u64,
    leeway_s: u64,
}

struct App {
    /// By kid. A kid belongs to its app: two apps may have keys of the same name.
    keys: HashMap<String, AppKey>,
    interop: BTreeSet<String>,
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
    /// `domain` is the audience that tokens must have; `max_life` and `leeway` are
    /// the settings of `[keys.auth]`.
    pub(crate) fn new(
        config: &AppsConfig,
        domain: String,
        max_life: Duration,
        leeway: Duration,
    ) -> Result<Self, JwkFlaw> {
        let mut registered = HashMap::new();
        for (id, app) in &config.0 {
            let keys = app
                .keys
                .iter()
                .map(|jwk| Ok((jwk.kid.clone(), AppKey::parse(jwk)?)))
                .collect::<Result<_, JwkFlaw>>()?;
            let interop = app.interop.iter().cloned().collect();
            registered.insert(id.clone(), App { keys, interop });
        }
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
