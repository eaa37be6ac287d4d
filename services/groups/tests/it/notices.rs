//! Who is told that it came into a group, or left one.

use futures_util::StreamExt as _;
use sotto_ids::ConnectionId;
use sotto_store::{
    notices::{Notice, NoticeStream},
    places::Place,
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    scene::{Member, Scene},
    stage::MINUTE,
};

/// A gateway with a socket of each of these, numbered from 1.
async fn connect(scene: &Scene, members: &[&Member]) -> NoticeStream {
    let gateway = Uuid::new_v4().to_string();
    for (connection, member) in (1..).zip(members) {
        let place = Place { gateway: gateway.clone(), connection: ConnectionId(connection) };
        scene.stage.places().claim(member.address(), &place).await.unwrap();
    }
    scene.stage.notices().subscribe(&gateway).await.unwrap()
}

async fn next(heard: &mut NoticeStream) -> u64 {
    let notice = tokio::time::timeout(MINUTE, heard.next()).await.unwrap().unwrap();
    assert!(matches!(notice, Notice::GroupsChanged { .. }), "{notice:?}");
    notice.connection().0
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn whoever_comes_or_goes_is_told_and_nobody_else(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let [alice, bob] = members.as_mut_slice() else { panic!("two") };
    let mut carol = scene.person();
    let mut heard = connect(&scene, &[bob, &carol]).await;

    alice.add(std::slice::from_ref(&carol)).await;
    let first = next(&mut heard).await;
    carol.join().await;
    carol.update().await;
    alice.catch_up().await;
    let leaf = bob.index();
    alice.remove(&[leaf]).await.ok();
    let second = next(&mut heard).await;

    assert_eq!((first, second), (2, 1), "an update is no news");
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn everybody_is_told_of_a_reset(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    let (group, _) = alice.id();
    let path = alice.path("reset");
    let mut heard = connect(&scene, &[bob, carol]).await;

    alice.provider = sotto_mls_provider::Provider::default();
    let mut body = alice.found(group, 1, &alice.policy());
    body["generation"] = 0.into();
    alice.call(reqwest::Method::POST, &path, &body).await.ok();
    let mut told = [next(&mut heard).await, next(&mut heard).await];

    told.sort_unstable();
    assert_eq!(told, [1, 2]);
    scene.end().await;
}
