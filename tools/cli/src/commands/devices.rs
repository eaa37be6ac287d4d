//! Devices that come and go.

use serde_json::json;
use sotto_client::{Client, ClientError, PeerName};

use crate::{
    arguments::{DeviceCommand, Shown},
    failure::Failure,
    output::Output,
};

pub(super) async fn run(
    command: DeviceCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::Link { account } => link(account, client, output).await,
        DeviceCommand::Request { name } => request(&name, client, output).await,
        DeviceCommand::Approve { shown, admin } => {
            let device = match shown {
                Shown::Link(link) => client.approve_link(&link, admin).await?,
                // The account key goes through a mailbox or not at all.
                Shown::Request(_) if admin => return Err(ClientError::MalformedLink.into()),
                Shown::Request(request) => client.approve_device(&request).await?,
            };
            let value = json!({ "type": "approved", "device": u32::from(device) });
            Ok(output.print(&value, || format!("device {device} is on the account"))?)
        }
        DeviceCommand::Decline { link } => Ok(client.decline_link(&link).await?),
        DeviceCommand::Revoke { device } => {
            client.revoke_device(device).await?;
            let value = json!({ "type": "revoked", "device": u32::from(device) });
            Ok(output.print(&value, || format!("device {device} is off the account"))?)
        }
        DeviceCommand::Finish => Ok(output.me(&client.finish_device().await?)?),
    }
}

/// Prints the link first: nobody could take it otherwise.
async fn link(
    account: Option<PeerName>,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let expected = match account {
        Some(name) => Some(client.add_contact(&name).await?.account),
        None => None,
    };
    let pending = client.open_link().await?;
    let text = pending.link().to_string();
    output.print(&json!({ "type": "device_link", "link": text }), || {
        format!("On the other device, within two minutes:\n\n  sotto-cli device approve {text}\n")
    })?;
    Ok(output.me(&pending.finish(expected).await?)?)
}

/// Prints the request alone, so that it can be piped on.
async fn request(name: &PeerName, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let account = client.add_contact(name).await?.account;
    let request = client.request_device(account).await?;
    let value = json!({
        "type": "device_request",
        "account": account.to_string(),
        "device": u32::from(request.device()),
        "request": request.to_string(),
    });
    Ok(output.print(&value, || request.to_string())?)
}
