//! What members do to a group, one after another.

use reqwest::Method;
use serde_json::{Value, json};
use sotto_ids::GroupId;
use sotto_proto::socket::GroupEntryKind;
use sqlx::PgPool;

use crate::scene::{Member, Scene, base64, random};

fn kinds(entries: &[sotto_proto::socket::GroupEntry]) -> Vec<GroupEntryKind> {
    entries.iter().map(sotto_proto::socket::GroupEntry::kind).collect()
}

#[track_caller]
fn assert_all_agree(members: &[&Member]) {
    let epochs: Vec<_> = members.iter().map(|member| member.epoch()).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    assert!(members.iter().all(|member| member.secret() == members[0].secret()));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_group_is_made_once_however_often_it_is_asked_for(db: PgPool) {
    let scene = Scene::set(db).await;
    let (mut alice, mut mallory) = (scene.person(), scene.person());
    let group = GroupId::new(random());
    let body = alice.found(group, 0, &alice.policy());

    let first = alice.call(Method::POST, "", &body).await;
    let again = alice.call(Method::POST, "", &body).await;
    let other = mallory.found(group, 0, &mallory.policy());
    let taken = mallory.call(Method::POST, "", &other).await;

    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    let expected = json!({ "group": group.to_string(), "generation": 0, "epoch": 0, "seq": 1 });
    assert_eq!(first.ok(), expected);
    assert_eq!(again.ok(), expected);
    taken.refused(409, "group_exists");
    let listed = alice.get("").await.ok();
    assert_eq!(listed["groups"][0]["joined_seq"], 1);
    assert_eq!(mallory.get("").await.ok()["groups"], json!([]));
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn whoever_is_added_joins_and_whoever_is_removed_reads_to_its_end(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    assert_all_agree(&[alice, bob, carol]);

    bob.update().await;
    alice.catch_up().await;
    let carols_leaf = carol.index();
    alice.remove(&[carols_leaf]).await.ok();
    alice.update().await;
    bob.catch_up().await;
    let seen = carol.catch_up().await;

    assert_all_agree(&[alice, bob]);
    assert_eq!(alice.epoch(), 4);
    // The update, and the commit that removes her; nothing after.
    assert_eq!(kinds(&seen), [GroupEntryKind::Commit; 2]);
    assert!(!carol.mls().is_active());
    let listed = carol.get("").await.ok();
    assert_eq!(listed["groups"][0]["removed_seq"], carol.cursor);
    let update = carol.path("info");
    carol.get(&update).await.refused(403, "not_a_member");
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_has_lost_its_state_comes_back_by_itself(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    let (group, _) = alice.id();
    let before = bob.secret();

    bob.rejoin(group).await.ok();
    alice.catch_up().await;
    carol.catch_up().await;
    carol.update().await;
    alice.catch_up().await;
    bob.catch_up().await;

    assert_all_agree(&[alice, bob, carol]);
    assert_ne!(bob.secret(), before);
    assert_eq!(alice.mls().members().count(), 3);
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_new_device_of_a_member_joins_by_itself_and_a_stranger_does_not(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let alice = &mut members[0];
    let [mut phone, mut laptop] = scene.person_with();
    alice.add(std::slice::from_ref(&phone)).await;
    phone.join().await;
    let (group, _) = alice.id();

    laptop.rejoin(group).await.ok();
    alice.catch_up().await;
    phone.catch_up().await;

    assert_all_agree(&[alice, &phone, &laptop]);
    let stranger = scene.person();
    stranger.get(&format!("/{group}/info")).await.refused(403, "not_a_member");
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_member_leaves_by_a_proposal_that_the_next_commit_has_to_take(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    let proposal = carol.leave_proposal();

    let first = carol.propose(&proposal).await.ok();
    let again = carol.leave_proposal();
    let again = carol.propose(&again).await.ok();
    let without = alice.prepare_update();
    let refused = alice.commit(&without).await;
    let missing = refused.entries();
    refused.refused(409, "proposals_missing");
    alice.catch_up().await;
    let with = alice.prepare_update();
    alice.commit(&with).await.ok();
    bob.catch_up().await;
    carol.catch_up().await;

    assert_eq!(first, again, "it is proposed once");
    assert_eq!(kinds(&missing), [GroupEntryKind::Proposal]);
    assert_eq!(first["seq"], missing[0].seq);
    assert_all_agree(&[alice, bob]);
    assert!(!carol.mls().is_active());
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn who_is_behind_is_told_what_it_lacks(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    let late = bob.prepare_update();
    alice.update().await;
    carol.catch_up().await;
    carol.update().await;

    let refused = bob.commit(&late).await;
    for entry in refused.entries() {
        bob.process(&entry);
    }
    let problem = refused.refused(409, "epoch_taken");
    bob.update().await;
    alice.catch_up().await;
    carol.catch_up().await;

    assert_eq!(problem["epoch"], 3);
    assert_eq!(problem["more"], false);
    assert_all_agree(&[alice, bob, carol]);
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_commit_that_comes_again_finds_itself_in_the_refusal(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let alice = &mut members[0];
    let prepared = alice.prepare_update();
    alice.post(&prepared).await.ok();

    let again = alice.post(&prepared).await;

    assert_eq!(again.entries()[0].message, prepared.commit);
    assert_eq!(again.entries()[0].sealed_metadata, prepared.sealed_metadata);
    again.refused(409, "epoch_taken");
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn metadata_are_sealed_again_once_after_somebody_joined_by_itself(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let [alice, bob] = members.as_mut_slice() else { panic!("two") };
    let (group, _) = alice.id();
    let path = alice.path("metadata");
    let body = |epoch: u64| json!({ "generation": 0, "epoch": epoch, "sealed_metadata": base64(b"again") });
    alice.call(Method::PUT, &path, &body(1)).await.refused(409, "metadata_sealed");
    bob.rejoin(group).await.ok();
    let info = bob.get(&bob.path("info")).await.ok();
    assert_eq!((info["epoch"].clone(), info["metadata_epoch"].clone()), (json!(2), json!(1)));

    alice.call(Method::PUT, &path, &body(1)).await.refused(409, "stale_epoch");
    let sealed = alice.call(Method::PUT, &path, &body(2)).await.ok();
    alice.call(Method::PUT, &path, &body(2)).await.refused(409, "metadata_sealed");

    let info = bob.get(&bob.path("info")).await.ok();
    assert_eq!(info["sealed_metadata"], json!(base64(b"again")));
    let entries = bob.catch_up().await;
    assert_eq!(kinds(&entries), [GroupEntryKind::Metadata]);
    assert_eq!(sealed["seq"], entries[0].seq);
    assert_eq!(entries[0].sealed_metadata, b"again".as_slice());
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_welcome_has_the_secret_of_its_device_alone_and_its_tree_waits_with_it(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let alice = &mut members[0];
    let crowd: Vec<_> = (0..20).map(|_| scene.person()).collect();
    let prepared = alice.prepare_adds(crowd.iter().map(Member::key_package).collect());
    let whole = prepared.welcome.clone().unwrap().len();
    alice.commit(&prepared).await.ok();
    alice.update().await;
    let (group, _) = alice.id();

    let mut crowd = crowd.into_iter();
    let mut dave = crowd.next().unwrap();
    let waiting = dave.get("/welcomes?limit=1").await.ok()["welcomes"][0].clone();
    let trimmed = super::scene::bytes_of(&waiting["welcome"]).len();
    dave.join_by(&waiting).await;
    dave.catch_up().await;

    assert!(trimmed * 4 < whole, "{trimmed} of {whole} bytes");
    assert_all_agree(&[alice, &dave]);
    let tree = |epoch: u64| format!("/{group}/tree?generation=0&epoch={epoch}");
    assert_eq!(waiting["epoch"], 2);
    dave.get(&tree(2)).await.octets();
    dave.get(&tree(1)).await.refused(410, "tree_gone");
    for mut other in std::iter::once(dave).chain(crowd) {
        if other.group.is_none() {
            other.join().await;
        } else {
            let path = format!("/{group}/welcome?generation=0&epoch=2");
            other.call(Method::DELETE, &path, &Value::Null).await.ok();
        }
    }
    assert_eq!(scene.stage.count("welcomes").await, 0);
    assert_eq!(scene.stage.count("trees").await, 0, "nobody needs it any more");
    alice.get(&tree(2)).await.refused(410, "tree_gone");
    alice.get(&tree(3)).await.octets();
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_admin_begins_the_group_again_and_the_log_goes_on(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    let (group, _) = alice.id();
    let path = alice.path("reset");
    let last = alice.cursor;
    bob.provider = sotto_mls_provider::Provider::default();
    let mut by_bob = bob.found(group, 1, &bob.policy());
    by_bob["generation"] = json!(0);
    bob.call(Method::POST, &path, &by_bob).await.refused(403, "not_allowed");

    alice.provider = sotto_mls_provider::Provider::default();
    let mut body = alice.found(group, 1, &alice.policy());
    body["generation"] = json!(0);
    let first = alice.call(Method::POST, &path, &body).await.ok();
    let again = alice.call(Method::POST, &path, &body).await.ok();
    alice.cursor = last + 1;
    let mut late = carol.found(group, 1, &carol.policy());
    late["generation"] = json!(0);
    carol.call(Method::POST, &path, &late).await.refused(403, "not_a_member");
    carol.provider = sotto_mls_provider::Provider::default();
    carol.group = None;
    alice.add(std::slice::from_ref(carol)).await;
    carol.join().await;

    let head = json!({
        "group": group.to_string(), "generation": 1, "epoch": 0, "seq": last + 1,
    });
    assert_eq!(first, head);
    assert_eq!(again, head);
    assert_all_agree(&[alice, carol]);
    assert_eq!(carol.id(), (group, 1));
    carol.update().await;
    assert_eq!(kinds(&alice.catch_up().await), [GroupEntryKind::Commit]);
    assert_eq!(alice.cursor, last + 3);
    scene.end().await;
}
