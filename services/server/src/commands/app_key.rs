use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{EncodePrivateKey as _, KeypairBytes, spki::der::pem::LineEnding},
};
use rand_core::OsRng;

/// Makes a key pair for an app.
#[derive(Debug, clap::Args)]
pub(crate) struct AppKey {
    /// The key's name in the headers of tokens.
    #[arg(long)]
    kid: String,
    /// Where the private half goes. It must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes the private half to its file and the public half to standard output.
#[expect(clippy::print_stdout, reason = "what the command is for")]
pub(crate) fn app_key(arguments: &AppKey) -> anyhow::Result<()> {
    let key = SigningKey::generate(&mut OsRng);
    // Without the public half beside it: with it, the document is of a version that
    // OpenSSL and what stands on it cannot read (RFC 8410 section 7).
    let document = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    let pem = document.to_pkcs8_pem(LineEnding::LF).context("encode the key")?;

    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&arguments.out)
        .with_context(|| format!("create {}", arguments.out.display()))?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;

    let jwk = serde_json::json!({
        "kid": arguments.kid,
        "kty": "OKP",
        "crv": "Ed25519",
        "x": URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
    });
    println!("{jwk}");
    Ok(())
}
