use std::time::Duration;

use nix::sys::signal::Signal;

use super::*;

fn sleeper(dir: &Path) -> Process {
    Launch::new("sleeper", "/bin/sh", dir.join("log"))
        .args(["-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"])
        .spawn()
        .unwrap()
}

async fn says(process: &Process, word: &str) {
    wait::wait_for(Duration::from_secs(10), word, || async {
        let log = tail(process.log(), 5);
        if log.contains(word) { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn a_child_ends_with_its_handle() {
    let dir = tempfile::tempdir().unwrap();
    let process = sleeper(dir.path());
    let id = process.id();
    says(&process, "up").await;
    assert!(id.is_alive());

    drop(process);

    assert!(!id.is_alive());
}

#[tokio::test]
async fn a_child_that_is_asked_to_stop_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let process = sleeper(dir.path());
    says(&process, "up").await;

    let status = process.stop(Signal::SIGTERM, Duration::from_secs(10)).await.unwrap();

    assert!(status.success());
    assert!(tail(process.log(), 5).contains("bye"));
}

#[tokio::test]
async fn a_child_that_is_killed_has_no_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let process = sleeper(dir.path());
    says(&process, "up").await;

    process.kill9().await;

    assert!(process.check_running().unwrap_err().to_string().contains("signal: 9"));
    assert!(!tail(process.log(), 5).contains("bye"));
}

/// The shell in the middle is killed as a test run might be: nobody can tell its child.
#[tokio::test]
async fn a_child_ends_with_a_parent_that_is_killed() {
    let Some(setpriv) = crate::servers::program::find("setpriv") else { return };
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("{} --pdeathsig=KILL -- sleep 600 & echo child $!; wait", setpriv.display());
    let parent = Launch::new("parent", "/bin/sh", dir.path().join("log"))
        .args(["-c", &script])
        .spawn()
        .unwrap();
    says(&parent, "child ").await;
    let log = tail(parent.log(), 1);
    let child = ProcessId::of(log.rsplit(' ').next().unwrap().parse().unwrap());
    assert!(child.is_alive());

    parent.kill9().await;

    wait::wait_for(Duration::from_secs(10), "the child's end", || async {
        if child.is_alive() { Err("alive") } else { Ok(()) }
    })
    .await;
}
