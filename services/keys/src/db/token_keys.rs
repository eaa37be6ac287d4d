use sqlx::PgExecutor;

use crate::domain::bigint;

/// A public key as it is stored.
pub(crate) struct TokenKeyRow {
    pub(crate) kid: String,
    pub(crate) public_key: [u8; 32],
    pub(crate) not_after_ms: i64,
}

/// Publishes a key.
pub(crate) async fn insert(
    kid: &str,
    public_key: &[u8; 32],
    not_after_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO keys.token_keys (kid, public_key, not_after_ms) VALUES ($1, $2, $3)",
        kid,
        public_key,
        bigint(not_after_ms),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The keys that a living token may be signed with.
pub(crate) async fn list_live(
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<TokenKeyRow>> {
    sqlx::query_as!(
        TokenKeyRow,
        r#"
        SELECT kid, public_key AS "public_key: [u8; 32]", not_after_ms
        FROM keys.token_keys
        WHERE not_after_ms > $1
        "#,
        bigint(now_ms),
    )
    .fetch_all(db)
    .await
}

/// Forgets the keys that no living token is signed with. Returns how many.
pub(crate) async fn delete_expired(now_ms: u64, db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM keys.token_keys WHERE not_after_ms <= $1", bigint(now_ms))
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
