use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sotto_kit::clock::{Clock as _, SystemClock};

/// Signs a token for one of an app's users.
#[derive(Debug, clap::Args)]
pub(crate) struct AppToken {
    /// The app.
    #[arg(long)]
    app: String,
    /// The app's own name for its user.
    #[arg(long)]
    user: String,
    /// The private half of one of the app's keys, as `sotto app-key` writes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The name of that key.
    #[arg(long)]
    kid: String,
    /// The deployment's domain.
    #[arg(long, default_value = "sotto.localhost")]
    domain: String,
    /// How long the token is valid; at most 24h.
    #[arg(long, default_value = "15m", value_parser = humantime::parse_duration)]
    life: Duration,
}

/// Writes the token to standard output.
#[expect(clippy::print_stdout, reason = "what the command is for")]
pub(crate) fn app_token(arguments: &AppToken) -> anyhow::Result<()> {
    sotto_kit::install_crypto_provider();
    let pem = std::fs::read(&arguments.key)
        .with_context(|| format!("read {}", arguments.key.display()))?;
    let key = EncodingKey::from_ed_pem(&pem).context("the key file is no Ed25519 key in PEM")?;

    let now = SystemClock.now_ms() / 1000;
    let claims = serde_json::json!({
        "iss": arguments.app,
        "aud": arguments.domain,
        "sub": arguments.user,
        "iat": now,
        "exp": now + arguments.life.as_secs(),
        "jti": uuid::Uuid::new_v4().to_string(),
    });
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(arguments.kid.clone());
    println!("{}", encode(&header, &claims, &key).context("sign the token")?);
    Ok(())
}
