use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use redis::{AsyncCommands as _, Value, aio::MultiplexedConnection};
use tokio::task::JoinHandle;

use super::{Needles, Searched};

/// How many keys a step of the scan asks for.
const STEP: usize = 500;

/// Searches every key of a Redis, of every type, with its value.
///
/// What is published is not kept, so it is not here: see [`Overheard`].
///
/// # Errors
///
/// Those of the server.
pub async fn redis(url: &str, needles: &Needles) -> redis::RedisResult<Searched> {
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut searched = Searched::default();
    let mut cursor = 0;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(STEP).query_async(&mut redis).await?;
        for key in keys {
            let mut bytes = key.clone();
            flatten(&value(&key, &mut redis).await?, &mut bytes);
            let place = format_args!("the Redis key {}", String::from_utf8_lossy(&key));
            searched.look(needles, place, &bytes);
        }
        if next == 0 {
            return Ok(searched);
        }
        cursor = next;
    }
}

async fn value(key: &[u8], redis: &mut MultiplexedConnection) -> redis::RedisResult<Value> {
    let kind: String = redis::cmd("TYPE").arg(key).query_async(redis).await?;
    match kind.as_str() {
        "string" => redis.get(key).await,
        "list" => redis.lrange(key, 0, -1).await,
        "hash" => redis.hgetall(key).await,
        "set" => redis.smembers(key).await,
        "zset" => redis.zrange(key, 0, -1).await,
        "stream" => redis::cmd("XRANGE").arg(key).arg("-").arg("+").query_async(redis).await,
        // Gone in the meantime.
        _ => Ok(Value::Nil),
    }
}

fn flatten(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::BulkString(data) => {
            bytes.push(b'\n');
            bytes.extend_from_slice(data);
        }
        Value::SimpleString(text) => {
            bytes.push(b'\n');
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Array(values) | Value::Set(values) => {
            for value in values {
                flatten(value, bytes);
            }
        }
        Value::Map(pairs) => {
            for (key, value) in pairs {
                flatten(key, bytes);
                flatten(value, bytes);
            }
        }
        _ => {}
    }
}

/// Everything that a Redis was told, from a moment on: each command of each client
/// with its arguments, so that short-lived values and published messages are in it.
pub struct Overheard {
    lines: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

impl Overheard {
    /// Begins to listen. Needs the right to `MONITOR`.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    #[expect(clippy::disallowed_methods, reason = "ends with the handle")]
    pub async fn start(url: &str) -> anyhow::Result<Self> {
        let monitor = redis::Client::open(url)?
            .get_async_monitor()
            .await
            .context("Redis does not let us listen")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let listening = {
            let lines = Arc::clone(&lines);
            tokio::spawn(async move {
                let mut heard = monitor.into_on_message::<String>();
                while let Some(line) = heard.next().await {
                    lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        };
        Ok(Self { lines, listening })
    }

    /// Searches what was heard until now.
    pub fn search(&self, needles: &Needles) -> Searched {
        let mut searched = Searched::default();
        for line in self.lines() {
            searched.look(needles, "a command to Redis", line.as_bytes());
        }
        searched
    }

    /// What was heard until now, one command a line, in Redis's own notation.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Overheard {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl fmt::Debug for Overheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overheard").field("lines", &self.lines().len()).finish_non_exhaustive()
    }
}
