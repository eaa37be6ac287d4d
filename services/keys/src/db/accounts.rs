use sotto_identity::LinkHash;
use sotto_ids::{AccountId, AccountUuid};
use sqlx::PgExecutor;

use crate::domain::{Head, bigint, from_bigint};

/// A registered account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) account_id: AccountId,
    pub(crate) head: Head,
}

/// Registers an account. `false` where its UUID is registered, be it by itself; a
/// registration of the same UUID that is under way is waited for.
pub(crate) async fn insert(
    account_id: AccountId,
    head: Head,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        INSERT INTO keys.accounts (account, account_id, head_seq, head_hash, registered_at_ms)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (account) DO NOTHING
        "#,
        account_id.uuid().as_uuid(),
        account_id.as_bytes(),
        bigint(head.seq),
        head.hash.as_bytes(),
        bigint(now_ms),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The account with this UUID.
pub(crate) async fn find(
    account: AccountUuid,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Account>> {
    let row = sqlx::query!(
        r#"
        SELECT account_id AS "account_id: [u8; 32]", head_seq, head_hash AS "head_hash: [u8; 32]"
        FROM keys.accounts
        WHERE account = $1
        "#,
        account.as_uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Account {
        account_id: AccountId::new(row.account_id),
        head: Head { seq: from_bigint(row.head_seq), hash: LinkHash(row.head_hash) },
    }))
}

/// Moves the head of a chain on, and with that takes the right to append until the
/// transaction ends. `false` where the head is not `from` any more.
pub(crate) async fn advance(
    account: AccountUuid,
    from: Head,
    to: Head,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        UPDATE keys.accounts
        SET head_seq = $4, head_hash = $5
        WHERE account = $1 AND head_seq = $2 AND head_hash = $3
        "#,
        account.as_uuid(),
        bigint(from.seq),
        from.hash.as_bytes(),
        bigint(to.seq),
        to.hash.as_bytes(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many there are. It looks at every row.
pub(crate) async fn count(db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM keys.accounts"#).fetch_one(db).await
}
