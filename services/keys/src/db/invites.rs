use sqlx::PgExecutor;

use crate::domain::{bigint, invite::InviteHash};

/// Adds invites, each for `uses` accounts.
pub(crate) async fn insert_many(
    hashes: &[InviteHash],
    uses: u32,
    expires_at_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.0.to_vec()).collect();
    sqlx::query!(
        r#"
        INSERT INTO keys.invites (hash, uses_left, expires_at_ms)
        SELECT hash, $2, $3 FROM unnest($1::bytea[]) AS hash
        "#,
        &hashes,
        i32::try_from(uses).unwrap_or(i32::MAX),
        bigint(expires_at_ms),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes one use of an invite. `false` where there is none of this hash, or it is used
/// up or over; one whose last use is being taken is waited for.
pub(crate) async fn take(
    hash: &InviteHash,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        UPDATE keys.invites
        SET uses_left = uses_left - 1
        WHERE hash = $1 AND uses_left > 0 AND expires_at_ms > $2
        "#,
        &hash.0,
        bigint(now_ms),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes the invites that are over.
pub(crate) async fn delete_expired(now_ms: u64, db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM keys.invites WHERE expires_at_ms <= $1", bigint(now_ms))
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
