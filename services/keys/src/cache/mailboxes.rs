use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _};
use redis::{RedisResult, Script};
use sotto_kit::clock::millis;
use sotto_store::redis::Redis;

use crate::domain::mailbox::{LinkId, Slot};

/// Where a process hears that a message was left.
const CHANNEL: &str = "keys:mailboxes";

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is there: now, or since the same bytes came before.
    Stored,
    /// Another one is there.
    Taken,
    /// There is no such mailbox.
    NoMailbox,
}

/// Opens a mailbox for `ttl`.
pub(crate) async fn open(link: LinkId, ttl: Duration, redis: &Redis) -> RedisResult<()> {
    let ttl_ms = i64::try_from(millis(ttl)).unwrap_or(i64::MAX);
    redis::pipe()
        .atomic()
        .hset(key(link), "open", 1)
        .ignore()
        .pexpire(key(link), ttl_ms)
        .ignore()
        .query_async(&mut redis.commands())
        .await
}

/// Leaves a message in a slot, once, and says so to those who wait.
pub(crate) async fn leave(
    link: LinkId,
    slot: Slot,
    message: &[u8],
    redis: &Redis,
) -> RedisResult<Left> {
    let outcome: i64 = Script::new(include_str!("leave.lua"))
        .key(key(link))
        .arg(slot.as_str())
        .arg(message)
        .arg(CHANNEL)
        .arg(link.to_string())
        .invoke_async(&mut redis.commands())
        .await?;
    Ok(match outcome {
        0 => Left::NoMailbox,
        1 => Left::Stored,
        _ => Left::Taken,
    })
}

/// Looks into a slot. `None` where there is no such mailbox.
pub(crate) async fn look(
    link: LinkId,
    slot: Slot,
    redis: &Redis,
) -> RedisResult<Option<Option<Vec<u8>>>> {
    let (open, message): (Option<u8>, Option<Vec<u8>>) = redis::cmd("HMGET")
        .arg(key(link))
        .arg("open")
        .arg(slot.as_str())
        .query_async(&mut redis.commands())
        .await?;
    Ok(open.map(|_| message))
}

/// Mailboxes in which a message was left.
pub(crate) type LeftStream = Pin<Box<dyn Stream<Item = LinkId> + Send>>;

/// Listens for messages in all mailboxes. The stream ends when the connection to Redis
/// does.
pub(crate) async fn listen(redis: &Redis) -> RedisResult<LeftStream> {
    let listener = redis.listen(CHANNEL).await?;
    Ok(Box::pin(listener.into_on_message().filter_map(async |message| {
        let text: String = message.get_payload().ok()?;
        text.parse().ok()
    })))
}

fn key(link: LinkId) -> String {
    format!("keys:{{{link}}}:mailbox")
}
