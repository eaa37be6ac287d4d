//! Who this device is.

use std::path::PathBuf;

use serde_json::json;
use sotto_client::{Client, ClientError, Phase, RecoveryPhrase, ids::Handle};

use crate::{failure::Failure, output::Output};

/// Prints the recovery words before anything is sent: whatever happens then, the
/// person has them, and can go on with them.
pub(super) async fn register(
    handle: Option<Handle>,
    words_file: Option<PathBuf>,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let phase = client.me().await?.map(|me| me.phase);
    let phrase = match (words_file, phase) {
        (_, Some(Phase::Ready | Phase::Requested)) => {
            return Err(ClientError::AlreadyRegistered.into());
        }
        (Some(file), _) => std::fs::read_to_string(&file)
            .map_err(|error| Failure::Profile(format!("{}: {error}", file.display())))?
            .parse()?,
        // Begun with words that were printed then.
        (None, Some(Phase::Made)) => return Err(ClientError::OtherPhrase.into()),
        // The account is at the server; what remains does not need the words.
        (None, Some(Phase::Certified)) => fresh_phrase(),
        (None, None) => {
            let phrase = fresh_phrase();
            output.print(&json!({ "type": "recovery_words", "words": phrase.words() }), || {
                format!(
                    "Write these 24 words down. They are the only way back to a lost account, \
                     and are shown this once:\n\n  {}\n",
                    phrase.words()
                )
            })?;
            phrase
        }
    };
    let me = client.register(&phrase, handle.as_ref()).await?;
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
