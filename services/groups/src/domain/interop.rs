use std::collections::{BTreeMap, BTreeSet};

/// Which apps may be in one group.
///
/// Within one app everybody may. Two apps may when each lists the other: what one
/// operator's tenant wants does not open the other's door.
#[derive(Debug, Clone, Default)]
pub struct Interop(BTreeMap<String, BTreeSet<String>>);

impl Interop {
    /// Whether a device with a token of `app` may add an account that is bound
    /// to `others`.
    pub fn allows(&self, app: &str, others: &[String]) -> bool {
        others
            .iter()
            .any(|other| other == app || (self.lists(app, other) && self.lists(other, app)))
    }

    fn lists(&self, app: &str, other: &str) -> bool {
        self.0.get(app).is_some_and(|listed| listed.contains(other))
    }
}

impl<Apps: IntoIterator<Item = String>> FromIterator<(String, Apps)> for Interop {
    /// From each app and those that it lists.
    fn from_iter<T: IntoIterator<Item = (String, Apps)>>(apps: T) -> Self {
        Self(apps.into_iter().map(|(app, listed)| (app, listed.into_iter().collect())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interop() -> Interop {
        [
            ("socialink", vec!["vignette"]),
            ("vignette", vec!["socialink", "lonely"]),
            ("lonely", vec![]),
        ]
        .into_iter()
        .map(|(app, listed)| (app.to_owned(), listed.into_iter().map(str::to_owned)))
        .collect()
    }

    fn allows(app: &str, other: &str) -> bool {
        interop().allows(app, &[other.to_owned()])
    }

    #[test]
    fn an_app_may_write_to_itself_and_to_those_that_list_it_back() {
        assert!(allows("lonely", "lonely"));
        assert!(allows("socialink", "vignette"));
        assert!(allows("vignette", "socialink"));
    }

    #[test]
    fn one_side_is_not_enough() {
        assert!(!allows("vignette", "lonely"));
        assert!(!allows("lonely", "vignette"));
        assert!(!allows("socialink", "unheard-of"));
        assert!(!interop().allows("socialink", &[]));
    }
}
