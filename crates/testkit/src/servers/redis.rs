//! A private Redis that keeps nothing: what Sotto has in Redis may be lost.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::{program, random_hex, write_secret};
use crate::{
    ports::Port,
    process::{Launch, Life, Process, tail},
    wait,
};

/// It takes ten milliseconds; a busy machine more.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its configuration lies.
    pub dir: PathBuf,
    /// Where it logs.
    pub log: PathBuf,
    /// How long it lives.
    pub life: Life,
}

/// A running server, on a loopback port of its own, with a password.
#[derive(Debug)]
pub struct Redis {
    options: Options,
    program: PathBuf,
    config: PathBuf,
    port: Port,
    password: String,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server, and waits until it answers.
    ///
    /// # Errors
    ///
    /// With the end of its log, when it does not come up.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let program = program::find("redis-server").context("redis-server is not installed")?;
        fs::create_dir_all(&options.dir)?;
        let port = Port::reserve()?;
        let password = random_hex(16);
        let config = options.dir.join("redis.conf");
        // Not arguments: everybody on the machine can read those.
        let settings = format!(
            "port {}\nbind 127.0.0.1\nrequirepass {password}\nsave \"\"\nappendonly no\ndir \"{}\"\n",
            port.number(),
            options.dir.display(),
        );
        write_secret(&config, &settings, None)?;
        let mut redis = Self { options, program, config, port, password, process: None };
        redis.restart().await?;
        Ok(redis)
    }

    /// `redis://...`, with the password.
    pub fn url(&self) -> String {
        format!("redis://:{}@{}", self.password, self.port.address())
    }

    /// Lets a detached server live on without its handle.
    pub fn leave_running(mut self) {
        if let Some(process) = self.process.take() {
            process.leave_running();
        }
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Kills it; all it held is gone.
    pub async fn kill9(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill9().await;
        }
    }

    /// Starts it again where it was, empty.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = None;
        let process = Launch::new("redis-server", &self.program, &self.options.log)
            .args([&self.config])
            .life(self.options.life)
            .spawn()?;
        let url = self.url();
        wait::until(READY_WITHIN, "Redis to answer", || async {
            process.check_running().map_err(|error| error.to_string())?;
            ping(&url).await.map_err(|error| error.to_string())
        })
        .await
        .with_context(|| format!("Redis does not start\n{}", tail(&self.options.log, 15)))?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.take() {
            process.stop(Signal::SIGTERM, READY_WITHIN).await?;
        }
        Ok(())
    }
}

/// Whether a Redis answers.
///
/// # Errors
///
/// Why it does not.
pub async fn ping(url: &str) -> redis::RedisResult<()> {
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("PING").exec_async(&mut redis).await
}
