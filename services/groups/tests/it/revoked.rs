//! Devices that their accounts have revoked.

use prost::Message as _;
use sotto_proto::{groups::LogPage, socket::GroupEntryKind};
use sqlx::PgPool;

use crate::{
    scene::{Member, Scene},
    stage::wait_for,
};

impl Scene {
    /// Takes the device off its account, and waits until the groups have heard of it.
    async fn revoke(&self, member: &Member, group: &Member) {
        self.certify(member.leaf.account, "socialink", &[]);
        wait_for("a proposal to remove the device", async || {
            self.stage.device_changes.publish(member.leaf.account.uuid()).await.unwrap();
            let path = group.path(&format!("log?after={}", group.cursor));
            let page = LogPage::decode(group.get(&path).await.octets().as_slice()).unwrap();
            page.entries.iter().any(|entry| entry.kind() == GroupEntryKind::Proposal)
        })
        .await;
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn no_commit_keeps_a_revoked_device(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    scene.revoke(carol, alice).await;

    let keeps = alice.prepare_update();
    let refused = alice.commit(&keeps).await;
    for entry in refused.entries() {
        alice.process(&entry);
    }
    refused.refused(409, "stale_member");
    alice.update().await;
    bob.catch_up().await;

    assert_eq!(alice.secret(), bob.secret());
    assert_eq!(alice.mls().members().count(), 2);
    carol.get(&carol.path("info")).await.refused(403, "not_a_member");
    scene.end().await;
}

/// Even the last admin: what the deployment proposes no commit can leave out.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_last_admin_goes_all_the_same(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    scene.revoke(alice, bob).await;

    bob.catch_up().await;
    bob.update().await;
    carol.catch_up().await;

    assert_eq!(bob.secret(), carol.secret());
    assert_eq!(bob.mls().members().count(), 2);
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn who_joins_by_itself_cannot_save_a_revoked_device(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(4).await;
    let [alice, bob, carol, dave] = members.as_mut_slice() else { panic!("four") };
    let (group, _) = alice.id();
    scene.revoke(carol, alice).await;

    bob.rejoin(group).await.ok();
    let entries = alice.catch_up().await;
    let kinds: Vec<_> = entries.iter().map(sotto_proto::socket::GroupEntry::kind).collect();
    dave.catch_up().await;
    dave.update().await;
    alice.catch_up().await;
    bob.catch_up().await;

    let (commit, proposal) = (GroupEntryKind::Commit, GroupEntryKind::Proposal);
    assert_eq!(kinds, [proposal, commit, proposal], "proposed, and proposed again");
    assert_eq!(entries[2].epoch, entries[1].epoch + 1);
    assert!([&*alice, bob, dave].iter().all(|member| member.mls().members().count() == 3));
    assert_eq!(alice.secret(), bob.secret());
    scene.end().await;
}
