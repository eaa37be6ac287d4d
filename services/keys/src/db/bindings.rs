use sotto_ids::AccountUuid;
use sqlx::PgExecutor;

use crate::{apps::AppUser, domain::bigint};

/// Binds the user of an app to an account, unless that user is bound; a binding that
/// is under way is waited for.
pub(crate) async fn insert(
    user: &AppUser,
    account: AccountUuid,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO keys.bindings (app, subject, account, bound_at_ms)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (app, subject) DO NOTHING
        "#,
        user.app,
        user.subject,
        account.as_uuid(),
        bigint(now_ms),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The account that the user of an app is bound to.
pub(crate) async fn find_account(
    user: &AppUser,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<AccountUuid>> {
    let account = sqlx::query_scalar!(
        "SELECT account FROM keys.bindings WHERE app = $1 AND subject = $2",
        user.app,
        user.subject,
    )
    .fetch_optional(db)
    .await?;
    Ok(account.map(AccountUuid::from_stored))
}
