//! What goes on in the background, until the service ends.

mod expire;
mod sweep;

use std::{future::Future, time::Duration};

use futures_util::StreamExt as _;
use sotto_ids::AccountUuid;
use sotto_kit::fault::chain;
use sotto_store::device_changes::{DeviceChangeStream, DeviceChanges};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{metrics, ops::Groups, outage::Outage};

/// The pause after a job has failed, and before Redis is listened to again.
const RETRY: Duration = Duration::from_secs(5);

/// Starts all of them. When it returns, changes of devices are heard, unless Redis is
/// away.
pub(crate) async fn start(groups: &Groups, changes: DeviceChanges) {
    let outage = Outage::new("device changes");
    let heard = listen(&changes, &outage, groups).await;
    let life = &groups.lifecycle;
    life.spawn("groups.end", end(groups.clone(), life.hold()));
    life.spawn("groups.expire", expire::expire(groups.clone()));
    life.spawn("groups.sweep_changed", sweep::sweep_changed(groups.clone()));
    life.spawn("groups.sweep_all", sweep::sweep_all(groups.clone()));
    life.spawn("groups.device_changes", device_changes(groups.clone(), changes, outage, heard));
}

/// Tells the writers to finish once no stream can bring anything new. The process does
/// not stop before they have: until then gateways hear what became of what they sent.
async fn end(groups: Groups, hold: TaskTrackerToken) {
    groups.lifecycle.draining().cancelled().await;
    let delivery = &groups.delivery;
    delivery.streams.close();
    let patience = groups.config.gateways.leave_timeout;
    if tokio::time::timeout(patience, delivery.streams.wait()).await.is_err() {
        tracing::warn!("some gateways did not take their last outcomes in time");
    }
    delivery.finishing.cancel();
    delivery.finishers.close();
    delivery.finishers.wait().await;
    drop(hold);
}

/// Forgets devices as they change, and has their groups looked at.
async fn device_changes(
    groups: Groups,
    changes: DeviceChanges,
    outage: Outage,
    mut heard: Option<DeviceChangeStream>,
) {
    loop {
        if let Some(mut heard) = heard.take() {
            while let Some(account) = next(&mut heard, &groups).await {
                groups.devices.forget(account);
                groups.delivery.sweeps.add(account);
            }
        }
        if ends_within(RETRY, &groups).await {
            return;
        }
        heard = listen(&changes, &outage, &groups).await;
    }
}

/// Begins to listen, then forgets what is remembered: changes of the time before were
/// not heard.
async fn listen(
    changes: &DeviceChanges,
    outage: &Outage,
    groups: &Groups,
) -> Option<DeviceChangeStream> {
    match tokio::time::timeout(RETRY, changes.subscribe()).await {
        Ok(Ok(heard)) => {
            outage.ends();
            groups.devices.forget_all();
            Some(heard)
        }
        Ok(Err(error)) => {
            outage.begins(&error);
            None
        }
        Err(_) => {
            outage.begins(&"no answer in time");
            None
        }
    }
}

async fn next(heard: &mut DeviceChangeStream, groups: &Groups) -> Option<AccountUuid> {
    tokio::select! {
        account = heard.next() => account,
        () = groups.delivery.finishing.cancelled() => None,
    }
}

async fn ends_within(wait: Duration, groups: &Groups) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => false,
        () = groups.delivery.finishing.cancelled() => true,
    }
}

/// Whether the run of a job went well; where it did not, that is logged and counted.
async fn outcome<E: std::error::Error + 'static>(
    job: &'static str,
    run: impl Future<Output = Result<(), E>>,
) -> bool {
    match run.await {
        Ok(()) => true,
        Err(error) => {
            metrics::job_failed(job);
            tracing::warn!(job, error = chain(&error), "job failed");
            false
        }
    }
}
