//! What waits at the server, as its database says.

use std::collections::HashMap;

use sotto_ids::AccountUuid;
use sqlx::{Connection as _, PgConnection};

use crate::oracle::Queued;

/// Which device of the run is which row's: by account, and the number of the device in it.
pub type Devices = HashMap<(AccountUuid, i16), u32>;

/// Counts the envelopes that wait for each device of a run. Those of others are not
/// counted.
///
/// # Errors
///
/// When the database does not answer.
pub async fn count(database_url: &str, devices: &Devices) -> anyhow::Result<Queued> {
    let mut db = PgConnection::connect(database_url).await?;
    let rows: Vec<(sqlx::types::Uuid, i16, i64)> = sqlx::query_as(
        "SELECT account, device, count(*) FROM messages.queue
         WHERE expires_at > now() GROUP BY account, device",
    )
    .fetch_all(&mut db)
    .await?;
    db.close().await?;
    Ok(rows
        .into_iter()
        .filter_map(|(account, device, count)| {
            let number = devices.get(&(AccountUuid::from_stored(account), device))?;
            Some((*number, u64::try_from(count).ok()?))
        })
        .collect())
}
