//! Proofs that an account has two chains.

use std::path::Path;

use serde_json::json;
use sotto_client::{Client, Evidence};

use super::find;
use crate::{arguments::EvidenceCommand, failure::Failure, output::Output, profile};

pub(super) async fn run(
    command: EvidenceCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        EvidenceCommand::List { name } => {
            let account = find(&name, client).await?;
            for (found_ms, file) in client.evidence(account).await? {
                let value =
                    json!({ "type": "evidence", "found_ms": found_ms, "bytes": file.len() });
                output.print(&value, || format!("found at {found_ms}, {} bytes", file.len()))?;
            }
            Ok(())
        }
        EvidenceCommand::Save { name, file } => {
            let account = find(&name, client).await?;
            let Some((_, bytes)) = client.evidence(account).await?.into_iter().next() else {
                return Err(Failure::NoEvidence);
            };
            std::fs::write(&file, bytes).map_err(|error| profile::unusable(&file, &error))
        }
        EvidenceCommand::Verify { file } => verify(&file, output),
    }
}

/// Looks at a file alone: whoever brings it need not be believed.
pub(super) fn verify(file: &Path, output: &mut Output) -> Result<(), Failure> {
    let bytes = std::fs::read(file).map_err(|error| profile::unusable(file, &error))?;
    let evidence = Evidence::from_bytes(&bytes).map_err(Failure::Evidence)?;
    let account = evidence.verify().map_err(Failure::Evidence)?;
    let seq = evidence.shared.len();
    let value = json!({ "type": "fork", "account": account.to_string(), "seq": seq });
    Ok(output.print(&value, || format!("{account} signed two different ops in place {seq}"))?)
}
