use sotto_identity::LinkHash;
use sotto_ids::{AccountId, AccountUuid, Handle};
use sqlx::PgExecutor;

use super::accounts::Account;
use crate::domain::{Head, bigint, from_bigint};

/// Claims a handle as the current one of an account. `false` where another account
/// holds it or one that looks like it; a claim that is under way is waited for.
///
/// The account must have no other current handle: [`retire`] comes first. A handle
/// that the account held before, in this spelling or another, becomes current again.
pub(crate) async fn claim(
    handle: &Handle,
    account: AccountUuid,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        INSERT INTO keys.handles AS held (skeleton, handle, account, current, claimed_at_ms)
        VALUES ($1, $2, $3, true, $4)
        ON CONFLICT (skeleton) DO UPDATE
            SET handle = excluded.handle, current = true, claimed_at_ms = excluded.claimed_at_ms
            WHERE held.account = excluded.account
        "#,
        handle.skeleton(),
        handle.as_str(),
        account.as_uuid(),
        bigint(now_ms),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes the current handle of an account a former one, which it still holds.
pub(crate) async fn retire(account: AccountUuid, db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE keys.handles SET current = false WHERE account = $1 AND current",
        account.as_uuid(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many handles an account holds.
pub(crate) async fn count(account: AccountUuid, db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM keys.handles WHERE account = $1"#,
        account.as_uuid(),
    )
    .fetch_one(db)
    .await
}

/// The account that goes by this handle now.
pub(crate) async fn find_account(
    handle: &Handle,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Account>> {
    let row = sqlx::query!(
        r#"
        SELECT accounts.account_id AS "account_id: [u8; 32]",
               accounts.head_seq,
               accounts.head_hash AS "head_hash: [u8; 32]"
        FROM keys.handles
        JOIN keys.accounts USING (account)
        WHERE handles.handle = $1 AND handles.current
        "#,
        handle.as_str(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Account {
        account_id: AccountId::new(row.account_id),
        head: Head { seq: from_bigint(row.head_seq), hash: LinkHash(row.head_hash) },
    }))
}
