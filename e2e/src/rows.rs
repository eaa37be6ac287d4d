//! What the services have in the database, as text that can be compared.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Every row of the schemas `keys`, `messages` and `groups`, each with the name of its table
/// before it, in an order that says nothing. A queue is in the tables of its days.
///
/// # Errors
///
/// Those of the database.
pub async fn dump(url: &str) -> sqlx::Result<Vec<String>> {
    let mut db = PgConnection::connect(url).await?;
    let tables: Vec<(String, String)> = sqlx::query_as(
        r"
        SELECT quote_ident(nspname), quote_ident(relname)
        FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind = 'r' AND nspname IN ('keys', 'messages', 'groups')
        ORDER BY 1, 2
        ",
    )
    .fetch_all(&mut db)
    .await?;

    let mut rows = Vec::new();
    for (schema, table) in tables {
        let query = format!("SELECT '{schema}.{table} ' || r::text FROM {schema}.{table} AS r");
        rows.extend(
            sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).fetch_all(&mut db).await?,
        );
    }
    rows.sort_unstable();
    Ok(rows)
}
