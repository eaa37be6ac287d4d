//! Whether the REST API is what its document says, and the document what the API is.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod drift;
mod fuzz;

use serde_json::Value;
use sotto_testkit::{Cluster, cluster};
use tokio::process::Command;

/// The document, as the executable prints it.
async fn document() -> Value {
    let output = Command::new(cluster::executable().unwrap()).arg("openapi").output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What every path begins with that the gateway serves.
const OF_GATEWAY: [&str; 2] = ["/v1/messages", "/v1/socket"];

/// What every path begins with that groups serves; those of neither keys serves.
const OF_GROUPS: [&str; 1] = ["/v1/groups"];

/// Where the gateway is, without a path.
fn gateway(cluster: &Cluster) -> String {
    let socket = cluster.socket_url(0).replacen("ws://", "http://", 1);
    socket.trim_end_matches("/v1/socket").to_owned()
}
