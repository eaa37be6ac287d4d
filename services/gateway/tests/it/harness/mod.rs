//! What the tests are told with.

mod device;
mod gateway;
mod groups;
mod keys;
mod replica;
mod wire;

use std::time::Duration;

pub(crate) use self::{
    device::{Device, Form},
    gateway::{TestGateway, config},
    groups::GroupsReplica,
    keys::Signer,
    replica::Replica,
    wire::Wire,
};

/// How long anything may take. A test that waits for longer has failed, and only such a
/// test takes as long; a machine that does much else needs some of it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for what must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Waits until a condition holds.
pub(crate) async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
