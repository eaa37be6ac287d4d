use sotto_identity::LinkHash;
use sotto_ids::AccountUuid;
use sqlx::PgExecutor;

use crate::domain::{bigint, from_bigint};

/// One link of a chain as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredOp {
    /// An encoded `SignedOp`, as it came.
    pub(crate) signed_op: Vec<u8>,
    pub(crate) link_hash: LinkHash,
    pub(crate) received_at_ms: u64,
}

/// Appends ops, the first of which gets the number `first_seq`.
pub(crate) async fn insert(
    account: AccountUuid,
    first_seq: u64,
    ops: &[StoredOp],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let (mut signed_ops, mut link_hashes, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for op in ops {
        signed_ops.push(op.signed_op.clone());
        link_hashes.push(op.link_hash.as_bytes().to_vec());
        times.push(bigint(op.received_at_ms));
    }
    sqlx::query!(
        r#"
        INSERT INTO keys.chain_ops (account, seq, signed_op, link_hash, received_at_ms)
        SELECT $1, $2 + op.ordinality - 1, op.signed_op, op.link_hash, op.received_at_ms
        FROM unnest($3::bytea[], $4::bytea[], $5::bigint[])
            WITH ORDINALITY AS op (signed_op, link_hash, received_at_ms)
        "#,
        account.as_uuid(),
        bigint(first_seq),
        &signed_ops,
        &link_hashes,
        &times,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The ops from number `from_seq` to number `to_seq`, both included, in their order.
pub(crate) async fn list(
    account: AccountUuid,
    from_seq: u64,
    to_seq: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<StoredOp>> {
    let rows = sqlx::query!(
        r#"
        SELECT signed_op, link_hash AS "link_hash: [u8; 32]", received_at_ms
        FROM keys.chain_ops
        WHERE account = $1 AND seq BETWEEN $2 AND $3
        ORDER BY seq
        "#,
        account.as_uuid(),
        bigint(from_seq),
        bigint(to_seq),
    )
    .fetch_all(db)
    .await?;
    let ops = rows.into_iter().map(|row| StoredOp {
        signed_op: row.signed_op,
        link_hash: LinkHash(row.link_hash),
        received_at_ms: from_bigint(row.received_at_ms),
    });
    Ok(ops.collect())
}
