use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{Needles, Searched};

/// Searches every row of every table of a database, and the statements of whoever is
/// connected to it.
///
/// A row is read as text: `bytea` columns stand in it as hex, which is one of the forms
/// that are looked for.
///
/// # Errors
///
/// Those of the database.
pub async fn postgres(url: &str, needles: &Needles) -> sqlx::Result<Searched> {
    let mut db = PgConnection::connect(url).await?;
    let tables: Vec<(String, String)> = sqlx::query_as(
        r"
        SELECT quote_ident(nspname), quote_ident(relname)
        FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind IN ('r', 'm')
          AND relpersistence <> 't'
          AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        ORDER BY 1, 2
        ",
    )
    .fetch_all(&mut db)
    .await?;

    let mut searched = Searched::default();
    for (schema, table) in tables {
        let rows = AssertSqlSafe(format!("SELECT r::text FROM {schema}.{table} AS r"));
        let mut rows = sqlx::query_scalar::<_, String>(rows).fetch(&mut db);
        while let Some(row) = rows.try_next().await? {
            searched.look(needles, format_args!("a row of {schema}.{table}"), row.as_bytes());
        }
    }
    let statements: Vec<String> = sqlx::query_scalar(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND query <> ''",
    )
    .fetch_all(&mut db)
    .await?;
    for statement in statements {
        searched.look(needles, "a statement", statement.as_bytes());
    }
    Ok(searched)
}
