//! The read-only switch, against the real server that `REDIS_URL` names.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use sotto_kit::{
    clock::{Clock as _, SystemClock},
    config::Secret,
    fault::Fault as _,
    lifecycle::Lifecycle,
};
use sotto_store::{
    read_only::Switch,
    redis::{RedisConfig, connect},
};

async fn switch() -> Switch {
    let url = std::env::var("REDIS_URL").expect("REDIS_URL names a Redis for tests");
    // The switch is one for a deployment: this test has a database of its own.
    let url = Secret::from_value(format!("{}/9", url.trim_end_matches('/')));
    let timeout = Duration::from_secs(60);
    Switch::new(connect(&RedisConfig { url, response_timeout: timeout }).await.unwrap())
}

async fn moved(mut until: impl FnMut() -> bool) {
    let wait = async {
        while !until() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the switch was seen");
}

#[tokio::test]
async fn a_process_follows_the_switch_and_says_why_and_until_when() {
    let (switch, life) = (switch().await, Lifecycle::new());
    switch.off().await.unwrap();
    let read_only = switch.clone().follow(Arc::new(SystemClock), &life).await;
    assert!(read_only.check().is_ok());

    let (reason, minute) = ("a new disk".to_owned(), Duration::from_secs(60));
    switch.on(Some(reason.clone()), Some(minute), SystemClock.now_ms()).await.unwrap();
    moved(|| read_only.check().is_err()).await;
    let refused = read_only.check().unwrap_err();
    let late = switch.clone().follow(Arc::new(SystemClock), &life).await;

    assert_eq!(refused.reason(), "read_only");
    assert_eq!(switch.look().await.unwrap().unwrap().reason, Some(reason));
    assert!(refused.retry_after <= minute && refused.retry_after > minute / 2);
    assert!(late.check().is_err(), "a process that starts now knows at once");

    assert!(switch.off().await.unwrap());
    moved(|| read_only.check().is_ok()).await;
    assert!(!switch.off().await.unwrap(), "it was off");
    assert!(life.finish(Duration::from_secs(60)).await);
}
