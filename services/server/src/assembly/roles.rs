//! The roles by name, and what each is built from.

use anyhow::Context as _;
use clap::ValueEnum;
use sotto_kit::{
    grpc,
    service::{Context, RoleParts},
};
use sotto_store::{
    device_changes::DeviceChanges, notices::Notices, places::Places, postgres, redis::Redis,
};

use crate::config::Config;

/// What a process can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Every role in one process, on one public port.
    All,
    /// Live sockets.
    Gateway,
    /// Accounts, devices, prekeys and tokens.
    Keys,
    /// Envelopes and queues.
    Messages,
    /// The delivery service of groups.
    Groups,
}

impl RoleName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Gateway => sotto_gateway::ROLE,
            Self::Keys => sotto_keys::ROLE,
            Self::Messages => sotto_messages::ROLE,
            Self::Groups => sotto_groups::ROLE,
        }
    }

    fn includes(self, role: Self) -> bool {
        self == Self::All || self == role
    }
}

/// Builds the roles of this process.
pub(super) async fn build(
    name: RoleName,
    config: &Config,
    context: &Context,
    redis: &Redis,
) -> anyhow::Result<Vec<RoleParts>> {
    // Who asks others drains before them: so no socket outlives the streams that it
    // needs, and no stream the keys.
    let process = &context.lifecycle;
    let turns = [RoleName::Gateway, RoleName::Messages, RoleName::Groups, RoleName::Keys]
        .map(|role| (role.as_str(), process.part()));
    let [of_gateway, of_messages, of_groups, of_keys] =
        turns.clone().map(|(_, lifecycle)| Context { lifecycle, ..context.clone() });
    let there = |(role, _): &(&'static str, _)| name == RoleName::All || *role == name.as_str();
    let turns = turns.into_iter().filter(there).collect();
    process.drain_in_turn(turns, config.server.drain_timeout);

    let mut parts = Vec::new();
    if name.includes(RoleName::Keys) {
        parts.push(keys(config, &of_keys, redis.clone()).await.context("start keys")?);
    }
    if name.includes(RoleName::Messages) {
        parts.push(messages(config, &of_messages, redis.clone()).await.context("start messages")?);
    }
    if name.includes(RoleName::Groups) {
        parts.push(groups(config, &of_groups, redis.clone()).await.context("start groups")?);
    }
    if name.includes(RoleName::Gateway) {
        parts.push(gateway(config, &of_gateway, redis.clone()).await.context("start the gateway")?);
    }
    Ok(parts)
}

const fn places(config: &Config, redis: Redis) -> Places {
    Places::new(redis, config.places.ttl)
}

async fn keys(config: &Config, context: &Context, redis: Redis) -> anyhow::Result<RoleParts> {
    let stores = sotto_keys::Stores {
        db: postgres::connect(&config.postgres, "sotto_keys").await?,
        places: places(config, redis.clone()),
        redis,
    };
    Ok(sotto_keys::build(context.clone(), config.keys.clone(), &config.apps, stores).await?)
}

async fn messages(config: &Config, context: &Context, redis: Redis) -> anyhow::Result<RoleParts> {
    let neighbours = sotto_messages::Neighbours {
        db: postgres::connect(&config.postgres, sotto_messages::POSTGRES_ROLE).await?,
        places: places(config, redis.clone()),
        device_changes: DeviceChanges::new(redis),
        keys: grpc::channel(&config.links.keys)?,
        interop: interop(config).collect(),
    };
    Ok(sotto_messages::build(context.clone(), neighbours, config.messages.clone()).await?)
}

async fn groups(config: &Config, context: &Context, redis: Redis) -> anyhow::Result<RoleParts> {
    let neighbours = sotto_groups::Neighbours {
        db: postgres::connect(&config.postgres, sotto_groups::POSTGRES_ROLE).await?,
        places: places(config, redis.clone()),
        device_changes: DeviceChanges::new(redis.clone()),
        redis,
        keys: grpc::channel(&config.links.keys)?,
        interop: interop(config).collect(),
    };
    Ok(sotto_groups::build(context.clone(), neighbours, config.groups.clone()).await?)
}

/// Each app, and those whose users may meet its own.
fn interop(config: &Config) -> impl Iterator<Item = (String, impl Iterator<Item = String>)> {
    let apps = config.apps.0.iter();
    apps.map(|(app, settings)| (app.clone(), settings.interop.iter().cloned()))
}

async fn gateway(config: &Config, context: &Context, redis: Redis) -> anyhow::Result<RoleParts> {
    let places = places(config, redis.clone());
    let neighbours = sotto_gateway::Neighbours {
        notices: Notices::new(redis.clone(), places.clone()),
        redis,
        places,
        keys: grpc::channel(&config.links.keys)?,
        messages: config.links.messages.clone(),
        groups: config.links.groups.clone(),
    };
    Ok(sotto_gateway::build(context.clone(), neighbours, config.gateway.clone()).await?)
}
