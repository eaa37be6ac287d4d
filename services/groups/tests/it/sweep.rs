//! Devices that their accounts have lost are removed from their groups.

use std::time::Duration;

use futures_util::future::join_all;
use sotto_groups::GroupsConfig;
use sqlx::PgPool;

use crate::{
    scene::{Member, Scene},
    stage::{Group, wait_for},
};

/// A group of a maker and of both devices of somebody else.
async fn group_of_three(scene: &Scene) -> (Member, [Member; 2]) {
    let mut maker = scene.person();
    let mut devices = scene.person_with::<2>();
    maker.make_group().await;
    maker.add(&devices).await;
    for device in &mut devices {
        device.join().await;
    }
    (maker, devices)
}

/// Keys says from now on that only the first is live.
fn revoke_second(scene: &Scene, devices: &[Member; 2]) {
    let [first, _] = devices;
    scene.certify(first.leaf.account, "socialink", &[(first.leaf.device, &first.signer)]);
}

/// How many proposals stand in the log.
async fn proposals(scene: &Scene, group: Group) -> usize {
    scene.stage.log(group).await.iter().filter(|row| row.kind == 3).count()
}

/// I-7, with two replicas, which both hear of it. It fails where what others have proposed
/// since is not looked at in the transaction: then the log has two proposals for one leaf, and
/// no commit can take both.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_is_proposed_for_removal_once_and_the_next_commit_takes_it(db: PgPool) {
    let scene = Scene::with_replicas(3, db).await;
    for _ in 0..12 {
        let (mut maker, devices) = group_of_three(&scene).await;
        let group = Group(maker.id().0);
        let unknowing = maker.prepare_update();

        revoke_second(&scene, &devices);
        let changes = &scene.stage.device_changes;
        join_all((0..3).map(|_| changes.publish(devices[1].address().account)))
            .await
            .into_iter()
            .for_each(|told| told.unwrap());
        wait_for("the proposal", async || proposals(&scene, group).await > 0).await;

        maker.post(&unknowing).await.refused(409, "stale_member");
        maker.forget_commit();
        maker.catch_up().await;
        maker.update().await;
        assert_eq!(maker.mls().members().count(), 2);
        assert_eq!(proposals(&scene, group).await, 1);
        let [mut first, _] = devices;
        first.catch_up().await;
        assert_eq!(first.secret(), maker.secret());
    }
    scene.end().await;
}

/// A change that nobody heard of.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_whose_revocation_went_unheard_is_found_when_all_are_looked_at(db: PgPool) {
    let mut scene = Scene::set(db).await;
    let often = |config: &mut GroupsConfig| {
        config.sweep.every = Duration::from_millis(20);
        config.sweep.accounts = 1;
    };
    scene.replicas.push(scene.stage.replica_with(often).await);
    let (maker, devices) = group_of_three(&scene).await;
    let (other, _) = group_of_three(&scene).await;

    revoke_second(&scene, &devices);

    let (group, other) = (Group(maker.id().0), Group(other.id().0));
    wait_for("the proposal", async || proposals(&scene, group).await == 1).await;
    assert_eq!(proposals(&scene, other).await, 0, "nobody else is touched");
    scene.end().await;
}

/// What keys does not know may be a mistake of ours.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn while_keys_is_away_nobody_is_removed(db: PgPool) {
    let mut scene = Scene::set(db).await;
    let often = |config: &mut GroupsConfig| config.sweep.every = Duration::from_millis(20);
    let (maker, devices) = group_of_three(&scene).await;
    revoke_second(&scene, &devices);
    scene.stage.keys.kill().await;
    scene.replicas.push(scene.stage.replica_with(often).await);

    scene.stage.device_changes.publish(devices[0].address().account).await.unwrap();

    // They look at it again and again, and beside it others go on.
    let before = scene.stage.head(Group(maker.id().0)).await;
    for _ in 0..10 {
        maker.get("").await.ok();
    }
    assert_eq!(scene.stage.head(Group(maker.id().0)).await, before);
    scene.end().await;
}
