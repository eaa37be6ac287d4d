use std::{error::Error, fmt};

use async_trait::async_trait;

/// Gives the tokens with which the app vouches for its user.
///
/// The app's backend signs them: JWT, Ed25519 or ES256, with `iss` the app,
/// `aud` the home domain and `sub` the user. They are asked for whenever a new
/// Sotto token is due, about every ten minutes while online.
#[async_trait]
pub trait TokenProvider: Send + Sync {
    /// A token that is good for a minute at least.
    async fn app_token(&self) -> Result<String, Box<dyn Error + Send + Sync>>;
}

/// The same token every time: for tools and tests that end before it does.
#[derive(Clone)]
pub struct FixedToken(pub String);

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedToken(..)")
    }
}

#[async_trait]
impl TokenProvider for FixedToken {
    async fn app_token(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        Ok(self.0.clone())
    }
}
