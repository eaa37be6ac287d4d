//! A second device.

use serde_json::json;
use sotto_client::{Client, PeerName};

use crate::{arguments::DeviceCommand, failure::Failure, output::Output};

pub(super) async fn run(
    command: DeviceCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::Request { name } => request(&name, client, output).await,
        DeviceCommand::Approve { request } => {
            let device = client.approve_device(&request).await?;
            let value = json!({ "type": "approved", "device": u32::from(device) });
            Ok(output.print(&value, || format!("device {device} is on the account"))?)
        }
        DeviceCommand::Finish => Ok(output.me(&client.finish_device().await?)?),
    }
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
