//! Other accounts.

use serde_json::json;
use sotto_client::{Client, ClientError, PeerName, VerificationCode};

use super::find;
use crate::{
    arguments::{ChainCommand, IdentityCommand},
    failure::Failure,
    output::Output,
};

pub(super) async fn add(
    name: &PeerName,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let contact = client.add_contact(name).await?;
    Ok(output.contact(&contact)?)
}

pub(super) async fn contacts(client: &Client, output: &mut Output) -> Result<(), Failure> {
    for contact in client.contacts().await? {
        output.contact(&contact)?;
    }
    Ok(())
}

pub(super) async fn verify(
    name: &PeerName,
    accept: bool,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let account = find(name, client).await?;
    let number = client.safety_number(account).await?;
    if accept {
        client.accept_identity(account).await?;
    }
    let value = json!({
        "type": "safety_number",
        "account": account.to_string(),
        "digits": number.digits(),
        "accepted": accept,
    });
    Ok(output.print(&value, || {
        format!("{number}\nCompare it with what the other side sees, over another channel.")
    })?)
}

pub(super) async fn show_code(
    name: &PeerName,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let account = find(name, client).await?;
    let code = client.verification_code(account).await?.to_string();
    let value = json!({
        "type": "verification_code",
        "account": account.to_string(),
        "code": code,
    });
    Ok(output.print(&value, || code.clone())?)
}

pub(super) async fn scan(
    name: &PeerName,
    code: &VerificationCode,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let account = find(name, client).await?;
    client.scan(Some(account), code).await?;
    let value = json!({ "type": "verified", "account": account.to_string() });
    Ok(output.print(&value, || "The same on both sides: nobody is between you.".to_owned())?)
}

pub(super) async fn identity(
    command: IdentityCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let IdentityCommand::Show { name } = command;
    Ok(output.identity(&client.identity_document(&name).await?)?)
}

pub(super) async fn chain(
    command: ChainCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let ChainCommand::Show { name } = command;
    let account = match name {
        Some(name) => find(&name, client).await?,
        None => client.me().await?.ok_or(ClientError::NotRegistered)?.account,
    };
    Ok(output.chain(&client.chain(account).await?)?)
}
