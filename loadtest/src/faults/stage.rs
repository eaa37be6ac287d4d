//! The system, to be killed and raised by several at once.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use sotto_testkit::{
    Cluster, Role,
    process::ProcessId,
    servers::{Postgres, Redis},
};
use tokio::{
    sync::{RwLock, RwLockReadGuard},
    time::Instant,
};

use super::schedule::{Part, Victim};

/// How long a process may take to be ready, those it needs being down among other things.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// The pause before a process that ended while it started is started again, as whoever
/// runs it would.
const RELAUNCH_AFTER: Duration = Duration::from_millis(500);

/// How often a process is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A running cluster whose parts are killed and started again.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    cluster: Arc<RwLock<Cluster>>,
    http: reqwest::Client,
    down: Arc<Mutex<BTreeSet<Victim>>>,
}

/// How somebody came back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raised {
    /// When it was ready.
    pub(super) ready: Instant,
    /// How often it ended while it started, since what it needs was down.
    pub(super) ended_at_start: u32,
}

impl Stage {
    /// Takes over a cluster that runs.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub(super) fn new(cluster: Cluster) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        Ok(Self { cluster: Arc::new(RwLock::new(cluster)), http, down: Arc::default() })
    }

    /// What is down at the moment.
    pub(super) fn down(&self) -> Vec<Victim> {
        self.lock_down().iter().copied().collect()
    }

    /// Kills a process with SIGKILL. `false` if it did not run.
    ///
    /// # Errors
    ///
    /// When there is no such process, or the server is not ours to kill.
    pub(super) async fn kill(&self, victim: Victim) -> anyhow::Result<bool> {
        self.lock_down().insert(victim);
        if let Some(role) = role(victim.part) {
            let cluster = self.cluster.read().await;
            let ran = is_alive(&cluster, role, victim.index);
            cluster.kill9(role, victim.index).await;
            return Ok(ran);
        }
        let mut cluster = self.cluster.write().await;
        match victim.part {
            Part::Redis => redis(&mut cluster)?.kill9().await,
            _ => postgres(&mut cluster)?.kill9().await,
        }
        Ok(true)
    }

    /// Starts a process that was killed, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub(super) async fn raise(&self, victim: Victim) -> anyhow::Result<Raised> {
        let mut ended_at_start = 0;
        if let Some(role) = role(victim.part) {
            ended_at_start = self.raise_role(victim, role).await?;
        } else {
            let mut cluster = self.cluster.write().await;
            match victim.part {
                Part::Redis => redis(&mut cluster)?.restart().await?,
                _ => postgres(&mut cluster)?.restart().await?,
            }
        }
        self.lock_down().remove(&victim);
        Ok(Raised { ready: Instant::now(), ended_at_start })
    }

    /// Processes that have ended though nobody killed them.
    pub(super) async fn ended_by_themselves(&self) -> Vec<String> {
        let down = self.down();
        let cluster = self.cluster.read().await;
        cluster
            .roles()
            .iter()
            .filter(|process| !process.id().is_some_and(ProcessId::is_alive))
            .filter(|process| {
                !down.iter().any(|victim| {
                    role(victim.part) == Some(process.role()) && victim.index == process.index()
                })
            })
            .map(ToString::to_string)
            .collect()
    }

    /// The cluster, once nobody else has this stage.
    pub(super) fn into_cluster(self) -> Option<Cluster> {
        Arc::into_inner(self.cluster).map(RwLock::into_inner)
    }

    /// The cluster, to be looked at.
    pub(super) async fn cluster(&self) -> RwLockReadGuard<'_, Cluster> {
        self.cluster.read().await
    }

    /// The lock is held for moments only: whoever waits for a process to be ready must not
    /// keep Postgres from being raised, without which it never would be.
    async fn raise_role(&self, victim: Victim, role: Role) -> anyhow::Result<u32> {
        let ready_url = format!("{}/readyz", self.cluster().await.ops_url(role, victim.index));
        let deadline = Instant::now() + READY_WITHIN;
        let mut ended_at_start = 0;
        self.cluster().await.launch(role, victim.index)?;
        loop {
            if !is_alive(&*self.cluster().await, role, victim.index) {
                ended_at_start += 1;
                tokio::time::sleep(RELAUNCH_AFTER).await;
                self.cluster().await.launch(role, victim.index)?;
            }
            let answer = self.http.get(&ready_url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(ended_at_start);
            }
            if Instant::now() >= deadline {
                bail!("{victim} was not ready within {READY_WITHIN:?}");
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    fn lock_down(&self) -> MutexGuard<'_, BTreeSet<Victim>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn role(part: Part) -> Option<Role> {
    match part {
        Part::Gateway => Some(Role::Gateway),
        Part::Messages => Some(Role::Messages),
        Part::Keys => Some(Role::Keys),
        Part::Redis | Part::Postgres => None,
    }
}

fn is_alive(cluster: &Cluster, role: Role, index: usize) -> bool {
    cluster
        .roles()
        .iter()
        .filter(|process| process.role() == role && process.index() == index)
        .any(|process| process.id().is_some_and(ProcessId::is_alive))
}

fn redis(cluster: &mut Cluster) -> anyhow::Result<&mut Redis> {
    cluster.servers_mut().private_redis().context("the Redis is not ours to kill")
}

fn postgres(cluster: &mut Cluster) -> anyhow::Result<&mut Postgres> {
    cluster.servers_mut().private_postgres().context("the Postgres is not ours to kill")
}
