//! Where else an account can be reached.

use serde_json::json;
use sotto_client::{Client, ClientError, Endpoint};

use super::find;
use crate::{arguments::EndpointCommand, failure::Failure, output::Output};

pub(super) async fn run(
    command: EndpointCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        EndpointCommand::Add { kind, url } => {
            let endpoint = Endpoint { kind: kind.into(), url };
            client.add_endpoint(&endpoint).await?;
            print(&endpoint, output)
        }
        EndpointCommand::Drop { kind, url } => {
            Ok(client.drop_endpoint(&Endpoint { kind: kind.into(), url }).await?)
        }
        EndpointCommand::List { name } => {
            let account = match name {
                Some(name) => find(&name, client).await?,
                None => client.me().await?.ok_or(ClientError::NotRegistered)?.account,
            };
            for endpoint in client.endpoints(account).await? {
                print(&endpoint, output)?;
            }
            Ok(())
        }
    }
}

fn print(endpoint: &Endpoint, output: &mut Output) -> Result<(), Failure> {
    let Endpoint { kind, url } = endpoint;
    let value = json!({ "type": "endpoint", "kind": kind.as_str(), "url": url });
    Ok(output.print(&value, || format!("{:<8} {url}", kind.as_str()))?)
}
