use std::{collections::BTreeMap, time::Duration};

use sotto_testkit::{
    apps::{App, PublicJwk},
    cluster::Builder,
};

/// How long a token of an app lives that a test signs itself.
pub const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

/// An app that lets its users meet nobody else's.
pub fn lonely_app() -> App {
    App::with_fresh_key("lonely")
}

/// A cluster that has one app more.
pub fn with_app(app: &App, cluster: Builder) -> Builder {
    let PublicJwk { kid, kty, crv, x } = app.public_jwk();
    let jwk = [("kid", kid), ("kty", kty.to_owned()), ("crv", crv.to_owned()), ("x", x)];
    cluster.setting(&format!("apps.{}.keys", app.id()), vec![BTreeMap::from(jwk)])
}
