//! The file: C34.

use std::sync::Arc;

use super::{Party, TestClock, start, two};
use crate::{
    Body,
    vault::{messages, outbox, own},
};

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Everything that SQLite has on disk for a store, the write-ahead log too.
fn on_disk(party: &Party) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(party.dir.path()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

#[tokio::test]
async fn the_file_has_no_plaintext_and_no_key() {
    let (alice, bob) = two().await;
    let marker = "PLANTED-PLAINTEXT-7f3a";
    let sends = alice.say(&bob, &[marker]).await;
    bob.receive(&alice, &sends).await;
    let secrets = bob
        .vault
        .run(|tx| {
            let own = own::load(tx.db)?;
            Ok([
                own.device_key.to_bytes().to_vec(),
                own.account_key.unwrap().to_bytes().to_vec(),
                own.identity.private_key().serialize(),
                own.account.as_bytes().to_vec(),
            ])
        })
        .await
        .unwrap();

    for party in [&alice, &bob] {
        let bytes = on_disk(party);
        assert!(bytes.len() > 50_000, "something was written");
        assert!(!contains(&bytes, marker.as_bytes()));
        assert!(!contains(&bytes, b"SQLite format"), "not even the file's kind shows");
        assert!(secrets.iter().all(|secret| !contains(&bytes, secret)));
    }
}

#[tokio::test]
async fn only_its_key_opens_a_store() {
    let party = Party::new().await;
    party.vault.close().await;

    let other = start(&party.path(), 8, &party.clock).await;
    assert_eq!(other.err().unwrap().reason(), "wrong_store_key");
    assert!(start(&party.path(), 7, &party.clock).await.is_ok());
}

#[tokio::test]
async fn a_store_has_one_writer() {
    let party = Party::new().await;

    let second = start(&party.path(), 7, &party.clock).await;

    assert_eq!(second.err().unwrap().reason(), "store_in_use");
    party.vault.close().await;
    assert!(start(&party.path(), 7, &party.clock).await.is_ok());
}

#[tokio::test]
async fn a_store_of_a_later_version_is_left_alone() {
    let party = Party::new().await;
    party.vault.run(|tx| Ok(tx.db.pragma_update(None, "user_version", 99)?)).await.unwrap();
    party.vault.close().await;

    let opened = start(&party.path(), 7, &party.clock).await;

    assert_eq!(opened.err().unwrap().reason(), "store_too_new");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(super::START_MS.into()));

    let started = start(&dir.path().join("a.db"), 7, &clock).await.unwrap();

    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    started.vault.close().await;
}

#[tokio::test]
async fn a_job_that_fails_leaves_nothing_while_its_neighbours_stay() {
    let party = Party::new().await;
    let jobs = (0..40_u64).map(|number| {
        party.vault.run(move |tx| {
            crate::vault::counters::set(tx.db, &format!("test {number}"), number)?;
            if number % 2 == 0 { Ok(()) } else { Err(crate::ClientError::TimedOut) }
        })
    });

    let outcomes = futures_util::future::join_all(jobs).await;
    let kept: i64 = party
        .vault
        .run(|tx| {
            Ok(tx.db.query_row(
                "SELECT count(*) FROM counters WHERE name LIKE 'test %'",
                [],
                |row| row.get(0),
            )?)
        })
        .await
        .unwrap();

    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 20);
    assert_eq!(kept, 20);
}

/// A store as the first version left it, with a conversation and something to send.
fn first_version(path: &std::path::Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    let key = data_encoding::HEXLOWER.encode(&[7; 32]);
    db.execute_batch(&format!("PRAGMA key = \"x'{key}'\"")).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    db.execute_batch(include_str!("../vault/schema.sql")).unwrap();
    db.execute_batch(
        "INSERT INTO accounts (uuid, account, seq, head, sent, read_to)
             VALUES (randomblob(16), x'0909090909090909090909090909090909090909090909090909090909090909',
                     0, randomblob(32), 1, 1);
         INSERT INTO messages (id, conversation, peer, received, sender, device, text, unreadable,
                 sent_at_ms, server_time_ms, stored_at_ms, state)
             SELECT randomblob(16), zeroblob(32), account, state = 'received',
                 x'0909090909090909890909090909090a', 1, text, unreadable, 1, 2, 3, state
             FROM accounts, (SELECT 'read' AS text, NULL AS unreadable, 'received' AS state
                 UNION ALL SELECT NULL, 'decryption_failed', 'received'
                 UNION ALL SELECT 'mine', NULL, 'queued');
         INSERT INTO outbox (position, peer)
             SELECT position, uuid FROM messages, accounts WHERE text = 'mine';
         PRAGMA user_version = 1;",
    )
    .unwrap();
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(super::START_MS.into()));
    let path = dir.path().join("old.db");
    first_version(&path);

    let started = start(&path, 7, &clock).await.unwrap();
    let (shown, rows, broken) = started
        .vault
        .run(|tx| {
            let shown = messages::after(tx.db, 0, 9)?;
            let rows = outbox::queue_after(tx.db, 0, 9)?.len();
            let broken: u64 =
                tx.db.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
                    row.get(0)
                })?;
            Ok((shown, rows, broken))
        })
        .await
        .unwrap();
    started.vault.close().await;

    let bodies: Vec<_> = shown.iter().map(|one| one.body.clone()).collect();
    let unreadable = Body::Unreadable { reason: "decryption_failed".to_owned() };
    assert_eq!(bodies.len(), 3);
    assert!(bodies.contains(&Body::Text("read".to_owned())) && bodies.contains(&unreadable));
    let read = shown.iter().filter(|one| one.read_at_ms.is_some()).count();
    assert_eq!((read, rows, broken), (1, 1, 0), "what was read is read, what waits still does");
    assert!(start(&path, 7, &clock).await.is_ok(), "and once is enough");
}
