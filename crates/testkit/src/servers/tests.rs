//! On the programs that are installed, whatever the environment names.

use sqlx::{Connection as _, PgConnection};

use super::*;

fn postgres_in(dir: &Path, durability: Durability) -> postgres::Options {
    postgres::Options {
        dir: dir.join("postgres"),
        log: dir.join("postgres.log"),
        durability,
        life: Life::Leashed,
    }
}

/// A folder with these permissions; `nobody` can pass through 755 and not through 700.
fn tempdir(mode: u32) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;

    let permissions = std::fs::Permissions::from_mode(mode);
    tempfile::Builder::new().permissions(permissions).tempdir().unwrap()
}

#[tokio::test]
async fn a_private_postgres_keeps_what_it_confirmed_through_kill_9() {
    let dir = tempdir(0o755);
    let mut server = Postgres::start(postgres_in(dir.path(), Durability::Durable)).await.unwrap();
    let url = server.url("postgres");
    assert!(postgres::is_durable(&url).await.unwrap());
    let mut db = PgConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 7 AS number").execute(&mut db).await.unwrap();

    server.kill9().await;
    assert!(PgConnection::connect(&url).await.is_err(), "it is away");
    server.restart().await.unwrap();

    let mut db = PgConnection::connect(&url).await.unwrap();
    let kept: i32 = sqlx::query_scalar("SELECT number FROM kept").fetch_one(&mut db).await.unwrap();
    assert_eq!(kept, 7);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn files_that_are_there_are_used_again() {
    let dir = tempdir(0o755);
    let server = Postgres::start(postgres_in(dir.path(), Durability::Fast)).await.unwrap();
    server.create_database_if_missing("sotto").await.unwrap();
    server.stop().await.unwrap();

    let server = Postgres::start(postgres_in(dir.path(), Durability::Fast)).await.unwrap();

    server.create_database_if_missing("sotto").await.unwrap();
    PgConnection::connect(&server.url("sotto")).await.unwrap();
}

/// Root's home is closed to the user that Postgres runs as; so is this folder.
#[tokio::test]
async fn a_folder_out_of_the_servers_reach_is_put_elsewhere() {
    let dir = tempdir(0o700);
    let server = Postgres::start(postgres_in(dir.path(), Durability::Fast)).await.unwrap();

    let is_root = nix::unistd::Uid::effective().is_root();
    assert_eq!(server.data().starts_with(dir.path()), !is_root);
    let data = server.data().to_owned();
    server.stop().await.unwrap();
    postgres::remove_files(&dir.path().join("postgres")).unwrap();
    assert!(!data.exists());
}

#[tokio::test]
async fn a_fresh_database_goes_with_its_handle() {
    let dir = tempdir(0o755);
    let server = Postgres::start(postgres_in(dir.path(), Durability::Fast)).await.unwrap();
    let database = FreshDatabase::create(&server.url("postgres")).await.unwrap();
    let url = database.url().to_owned();
    let _still_connected = PgConnection::connect(&url).await.unwrap();

    drop(database);

    assert!(PgConnection::connect(&url).await.is_err());
}

#[tokio::test]
async fn a_private_redis_comes_back_empty_on_the_same_port() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Redis::start(redis::Options {
        dir: dir.path().join("redis"),
        log: dir.path().join("redis.log"),
        life: Life::Leashed,
    })
    .await
    .unwrap();
    let url = server.url();
    let client = ::redis::Client::open(url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    ::redis::cmd("SET").arg("a").arg("b").exec_async(&mut connection).await.unwrap();

    server.kill9().await;
    assert!(redis::ping(&url).await.is_err(), "it is away");
    server.restart().await.unwrap();

    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let size: i64 = ::redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(size, 0);
    assert!(
        redis::ping(&url.replace("redis://:", "redis://:x")).await.is_err(),
        "it has a password"
    );
}
