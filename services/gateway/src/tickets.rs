//! Tickets: what a device shows instead of a token on its next socket.
//!
//! | key | type | holds | lost when |
//! |---|---|---|---|
//! | `gateway:{<SHA-256 of the ticket>}:resume` | string | whose it is, as JSON | it was shown; `gateway.resume.ttl` after its socket has ended; its token ends; Redis forgot it |
//!
//! A ticket stands for the token of its socket and for no more: the next socket ends with
//! that token too. It is good once, for any gateway. Nobody but the device has it; here
//! is its hash, so that who reads Redis can use none.
//!
//! It spares a device that was cut off the proof of its keys, and the keys service the
//! question. It gives no right that the token does not give: a device that was revoked
//! in the meantime is closed with its first page, as with a token.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{RngCore as _, rngs::StdRng};
use redis::{AsyncCommands as _, ExistenceCheck, RedisResult, SetExpiry, SetOptions};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use sotto_kit::clock::SharedClock;
use sotto_store::redis::Redis;
use tokio::time::timeout;

use crate::{
    config::ResumeConfig,
    metrics,
    session::io::{Identity, Ticket},
};

/// The SHA-256 of a ticket, under which Redis has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TicketKey([u8; 32]);

impl TicketKey {
    fn of(ticket: &Ticket) -> Self {
        Self(Sha256::digest(ticket.0).into())
    }

    fn name(self) -> String {
        format!("gateway:{{{}}}:resume", Hex(&self.0))
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey")
    }
}

/// What Redis has under the key.
#[derive(Serialize, Deserialize)]
struct Holder {
    account: AccountUuid,
    device: DeviceId,
    app: String,
    token_expires_at_ms: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tickets {
    config: ResumeConfig,
    redis: Redis,
    clock: SharedClock,
    /// How long Redis may take. Where it takes longer there is no ticket, which costs a
    /// device no more than showing a token.
    patience: Duration,
    rng: Mutex<StdRng>,
}

impl Tickets {
    pub(crate) fn new(
        config: ResumeConfig,
        redis: Redis,
        clock: SharedClock,
        patience: Duration,
        rng: StdRng,
    ) -> Self {
        Self { config, redis, clock, patience, rng: Mutex::new(rng) }
    }

    /// Makes a ticket. It lives as long as the token: if this process is killed, nobody
    /// will say when the socket ended.
    pub(crate) async fn give(&self, identity: &Identity) -> Option<(Ticket, TicketKey)> {
        if self.config.ttl.is_zero() {
            return None;
        }
        let mut ticket = Ticket([0; Ticket::BYTES]);
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut ticket.0);
        let key = TicketKey::of(&ticket);
        self.write(key, identity, SetOptions::default()).await?;
        Some((ticket, key))
    }

    /// The token of a socket was replaced. A ticket that was shown elsewhere in the
    /// meantime does not come back.
    pub(crate) async fn prolong(&self, key: TicketKey, identity: &Identity) {
        let only_if_there = SetOptions::default().conditional_set(ExistenceCheck::XX);
        self.write(key, identity, only_if_there).await;
    }

    /// Whose ticket it is. Nobody's after this.
    pub(crate) async fn take(&self, ticket: &Ticket) -> Option<Identity> {
        let mut commands = self.redis.commands();
        let found: Option<String> =
            self.ask(commands.get_del(TicketKey::of(ticket).name())).await.flatten();
        let holder = found.and_then(|text| serde_json::from_str::<Holder>(&text).ok());
        metrics::resumed(if holder.is_some() { "resumed" } else { "refused" });
        let Holder { account, device, app, token_expires_at_ms } = holder?;
        Some(Identity { device: DeviceAddress::new(account, device), app, token_expires_at_ms })
    }

    /// Its socket has ended: it is good for a short time from now.
    pub(crate) async fn outlive(&self, key: TicketKey) {
        let mut commands = self.redis.commands();
        let ttl_ms = i64::try_from(self.config.ttl.as_millis()).unwrap_or(i64::MAX);
        let script = redis::Script::new(include_str!("tickets/outlive.lua"));
        let mut call = script.prepare_invoke();
        call.key(key.name()).arg(ttl_ms);
        self.ask(call.invoke_async::<()>(&mut commands)).await;
    }

    /// It is good for nothing any more.
    pub(crate) async fn void(&self, key: TicketKey) {
        let mut commands = self.redis.commands();
        self.ask(commands.del::<_, ()>(key.name())).await;
    }

    async fn write(&self, key: TicketKey, identity: &Identity, options: SetOptions) -> Option<()> {
        let token_expires_at_ms = identity.token_expires_at_ms;
        let left_ms = token_expires_at_ms.checked_sub(self.clock.now_ms()).filter(|&ms| ms > 0)?;
        let DeviceAddress { account, device } = identity.device;
        let holder = Holder { account, device, app: identity.app.clone(), token_expires_at_ms };
        let text = serde_json::json!(holder).to_string();
        let options = options.with_expiration(SetExpiry::PX(left_ms));
        let mut commands = self.redis.commands();
        self.ask(commands.set_options::<_, _, ()>(key.name(), text, options)).await
    }

    async fn ask<T>(&self, command: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let answer = timeout(self.patience, command).await.ok().and_then(Result::ok);
        if answer.is_none() {
            metrics::ticket_error();
        }
        answer
    }
}
