//! Who this device is.

use std::path::{Path, PathBuf};

use serde_json::json;
use sotto_client::{Client, ClientError, Phase, RecoveryPhrase, ids::Handle};

use crate::{arguments::AccountCommand, failure::Failure, output::Output, profile};

/// Prints the recovery words before anything is sent: whatever happens then, the
/// person has them, and can go on with them.
pub(super) async fn register(
    handle: Option<Handle>,
    words_file: Option<PathBuf>,
    invite: Option<String>,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let phase = client.me().await?.map(|me| me.phase);
    let phrase = match (words_file, phase) {
        (_, Some(Phase::Ready | Phase::Requested)) => {
            return Err(ClientError::AlreadyRegistered.into());
        }
        (Some(file), _) => words(&file)?,
        // Begun with words that were printed then.
        (None, Some(Phase::Made)) => return Err(ClientError::OtherPhrase.into()),
        // The account is at the server; what remains does not need the words.
        (None, Some(Phase::Certified)) => fresh_phrase(),
        (None, None) => {
            let phrase = fresh_phrase();
            show(&phrase, output)?;
            phrase
        }
    };
    let me = client.register_with(&phrase, handle.as_ref(), invite.as_deref()).await?;
    Ok(output.me(&me)?)
}

#[expect(clippy::disallowed_methods, reason = "this is the door that randomness comes in by")]
fn fresh_phrase() -> RecoveryPhrase {
    RecoveryPhrase::generate(&mut rand::rng())
}

pub(super) async fn whoami(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let me = client.me().await?.ok_or(ClientError::NotRegistered)?;
    Ok(output.me(&me)?)
}

pub(super) async fn prekeys(client: &Client, output: &mut Output) -> Result<(), Failure> {
    client.maintain_prekeys().await?;
    let count = client.prekey_count().await?;
    let value = json!({
        "type": "prekeys",
        "one_time_ec": count.one_time_ec,
        "one_time_kyber": count.one_time_kyber,
    });
    Ok(output.print(&value, || {
        format!("{} EC and {} Kyber one-time prekeys", count.one_time_ec, count.one_time_kyber)
    })?)
}

pub(super) async fn run(
    command: AccountCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        AccountCommand::Rotate => {
            client.rotate_account().await?;
            output.print(&json!({ "type": "rotated" }), || {
                "the account has a new key, and contacts see another safety number".to_owned()
            })?;
        }
        AccountCommand::Recover { name, words_file } => {
            let me = client.recover(&name, &words(&words_file)?).await?;
            output.me(&me)?;
        }
        AccountCommand::SetRecovery { words_file, new_words_file } => {
            let old = words(&words_file)?;
            let new = if let Some(file) = new_words_file {
                words(&file)?
            } else {
                let new = fresh_phrase();
                show(&new, output)?;
                new
            };
            client.set_recovery(&old, &new).await?;
            output.print(&json!({ "type": "recovery_set" }), || {
                "the old words are of no use any more".to_owned()
            })?;
        }
    }
    Ok(())
}

fn words(file: &Path) -> Result<RecoveryPhrase, Failure> {
    let words = std::fs::read_to_string(file).map_err(|error| profile::unusable(file, &error))?;
    Ok(words.parse()?)
}

/// Shows words before anything depends on them.
fn show(phrase: &RecoveryPhrase, output: &mut Output) -> std::io::Result<()> {
    output.print(&json!({ "type": "recovery_words", "words": phrase.words() }), || {
        format!(
            "Write these 24 words down. They are the only way back to a lost account, \
             and are shown this once:\n\n  {}\n",
            phrase.words()
        )
    })
}
