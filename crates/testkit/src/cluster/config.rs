use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail};
use toml::{Table, Value};

use super::{DOMAIN, Role, RoleProcess};
use crate::{
    apps::App,
    servers::{Servers, write_secret},
};

/// The secret of the external sender of every cluster, the same each time: a cluster that is
/// started again in its folder has its groups still.
const EXTERNAL_SENDER: &str = "c290dG8ncyBleHRlcm5hbCBzZW5kZXIgaW4gdGVzdHM=";

/// Writes the configuration that all processes share. The ports of each come from its
/// environment.
pub(super) fn write(
    path: &Path,
    servers: &Servers,
    apps: &BTreeMap<String, App>,
    roles: &[RoleProcess],
    settings: &[(String, Value)],
) -> anyhow::Result<()> {
    let mut config = Table::new();
    set(&mut config, "server.domain", DOMAIN.into())?;
    // Nobody reconnects to the gateway that is left, so there is no herd to spread.
    set(&mut config, "gateway.drain.window", "1s".into())?;
    set(&mut config, "gateway.drain.reconnect_within", "1s".into())?;
    // All of a test's people call from one address.
    let here: Vec<Value> = vec!["127.0.0.0/8".into(), "::1".into()];
    set(&mut config, "limits.exempt", here.into())?;
    set(&mut config, "postgres.url.value", servers.database_url().into())?;
    set(&mut config, "redis.url.value", servers.redis_url().into())?;
    let keys = grpc_urls(roles, Role::Keys).next().context("there is no keys process")?;
    set(&mut config, "links.keys", keys.into())?;
    let messages: Vec<Value> = grpc_urls(roles, Role::Messages).map(Value::from).collect();
    set(&mut config, "links.messages", messages.into())?;
    let groups: Vec<Value> = grpc_urls(roles, Role::Groups).map(Value::from).collect();
    set(&mut config, "links.groups", groups.into())?;
    set(&mut config, "groups.external_sender.value", EXTERNAL_SENDER.into())?;
    for (id, app) in apps {
        let jwk = Value::try_from(app.public_jwk())?;
        let others: Vec<Value> =
            apps.keys().filter(|other| *other != id).map(|other| other.as_str().into()).collect();
        set(&mut config, &format!("apps.{id}.keys"), vec![jwk].into())?;
        set(&mut config, &format!("apps.{id}.interop"), others.into())?;
    }
    for (name, value) in settings {
        set(&mut config, name, value.clone())?;
    }
    // It holds the passwords of the servers.
    write_secret(path, &toml::to_string_pretty(&config)?, None)
}

fn grpc_urls(roles: &[RoleProcess], role: Role) -> impl Iterator<Item = String> {
    roles.iter().filter(move |process| process.role() == role).map(RoleProcess::grpc_url)
}

/// Sets `a.b.c`, making the tables on the way.
fn set(table: &mut Table, name: &str, value: Value) -> anyhow::Result<()> {
    let Some((first, rest)) = name.split_once('.') else {
        table.insert(name.to_owned(), value);
        return Ok(());
    };
    match table.entry(first).or_insert_with(|| Table::new().into()) {
        Value::Table(inner) => set(inner, rest, value),
        _ => bail!("`{first}` of the setting `{name}` is no table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_lands_in_its_table() {
        let mut table = Table::new();
        set(&mut table, "messages.queue.max_age", "30d".into()).unwrap();
        set(&mut table, "messages.queue.max_pages", 3.into()).unwrap();
        set(&mut table, "messages.queue.max_age", "1h".into()).unwrap();

        assert_eq!(
            toml::to_string(&table).unwrap(),
            "[messages.queue]\nmax_age = \"1h\"\nmax_pages = 3\n"
        );
        assert!(set(&mut table, "messages.queue.max_age.x", 1.into()).is_err());
    }
}
