//! What is refused, and that it changes nothing (I-9).

use std::sync::Arc;

use openmls::prelude::{Extension, ExtensionType, OpenMlsProvider as _};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_ids::GroupId;
use sotto_kit::read_only::Maintenance;
use sotto_mls_provider::{Provider, Signer};
use sqlx::PgPool;

use crate::scene::{Member, Prepared, Scene, base64, random};

/// A group of an admin and two others, and a way to see that nothing in it has changed.
struct Table {
    scene: Scene,
    before: String,
}

impl Table {
    async fn of(scene: Scene) -> Self {
        let before = scene.stage.dump().await;
        Self { scene, before }
    }

    /// Sends a commit that is refused, and looks whether it has left a trace.
    async fn refused(
        &self,
        what: &str,
        member: &mut Member,
        commit: &Prepared,
        (status, reason): (u16, &str),
    ) -> Value {
        let answer = member.post(commit).await;
        if member.group.as_ref().is_some_and(|group| group.pending_commit().is_some()) {
            member.forget_commit();
        }
        let problem = answer.json();
        let said = (answer.status.as_u16(), problem["reason"].as_str());
        assert_eq!(said, (status, Some(reason)), "{what}: {problem}");
        assert_eq!(self.scene.stage.dump().await, self.before, "{what} has changed something");
        problem
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_the_policy_forbids_is_refused(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    let (group, _) = alice.id();
    let dave = scene.person();
    let table = Table::of(scene).await;
    let forbidden = (403, "not_allowed");

    let commit = bob.prepare_adds(vec![dave.key_package()]);
    let problem = table.refused("a member adds somebody", bob, &commit, forbidden).await;
    assert_eq!(problem["rule"], "add");
    let leaf = carol.index();
    let commit = bob.prepare(|builder| builder.propose_removals([leaf]));
    let problem = table.refused("a member removes another", bob, &commit, forbidden).await;
    assert_eq!(problem["rule"], "remove");
    let policy = bob.policy();
    let commit = bob.prepare_policy(&policy);
    let problem = table.refused("a member makes itself admin", bob, &commit, forbidden).await;
    assert_eq!(problem["rule"], "policy");
    let mut policy = alice.policy();
    policy.admins.insert(dave.leaf.account);
    let commit = alice.prepare_policy(&policy);
    let problem = table.refused("an admin who is no member", alice, &commit, forbidden).await;
    assert_eq!(problem["rule"], "admin_not_member");
    let mut extensions = alice.mls().extensions().clone();
    extensions.remove(ExtensionType::ExternalSenders);
    let commit = alice.prepare_extensions(extensions);
    let problem = table.refused("no external sender", alice, &commit, forbidden).await;
    assert_eq!(problem["rule"], "extensions");
    let commit = alice.prepare_update();
    let problem = table.refused("the commit of another", bob, &commit, forbidden).await;
    assert_eq!(problem["rule"], "own_leaf");
    alice.forget_commit();

    let mut dave = dave;
    let info = alice.info(group).await;
    let commit = dave.prepare_rejoin(info);
    let problem = table.refused("a stranger joins", &mut dave, &commit, forbidden).await;
    assert_eq!(problem["rule"], "external_join");
    let commit = alice.prepare_update();
    let answer = dave.call(Method::POST, &alice.path("commits"), &commit.body()).await;
    answer.refused(403, "not_a_member");
    table.scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_the_chains_do_not_certify_is_refused(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, _] = members.as_mut_slice() else { panic!("three") };
    let (group, _) = alice.id();
    let [forger] = scene.person_of("socialink");
    let other_key = Signer::new(&random());
    scene.certify(forger.leaf.account, "socialink", &[(forger.leaf.device, &other_key)]);
    let [islander] = scene.person_of("island");
    let [mut phone, mut laptop] = scene.person_with();
    scene.certify(phone.leaf.account, "socialink", &[(phone.leaf.device, &phone.signer)]);
    alice.add(std::slice::from_ref(&phone)).await;
    phone.join().await;
    bob.catch_up().await;
    let table = Table::of(scene).await;
    let uncertified = (422, "leaf_uncertified");

    let commit = alice.prepare_adds(vec![forger.key_package()]);
    table.refused("another key than the chain has", alice, &commit, uncertified).await;
    let commit = alice.prepare_adds(vec![islander.key_package()]);
    table.refused("of another app", alice, &commit, (403, "not_interoperable")).await;
    let info = laptop.info(group).await;
    let commit = laptop.prepare_rejoin(info);
    table.refused("joins, but is revoked", &mut laptop, &commit, uncertified).await;
    table.scene.certify(bob.leaf.account, "socialink", &[]);
    table.scene.stage.device_changes.publish(bob.leaf.account.uuid()).await.unwrap();
    crate::stage::wait_for("the revocation to be heard", async || {
        bob.catch_up().await;
        let commit = bob.prepare_update();
        let answer = bob.commit(&commit).await;
        let reason = answer.json()["reason"].clone();
        let refused = ["leaf_uncertified", "stale_member"].map(Value::from).contains(&reason);
        assert!(refused || answer.status.is_success(), "{reason}");
        refused
    })
    .await;
    table.scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_does_not_fit_together_is_refused(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, _] = members.as_mut_slice() else { panic!("three") };
    let (dave, erin) = (scene.person(), scene.person());
    let table = Table::of(scene).await;
    let mismatch = (422, "group_info_mismatch");

    let old = alice.group_info(false);
    let commit = Prepared { group_info: old, ..alice.prepare_update() };
    table.refused("the info of the old epoch", alice, &commit, mismatch).await;
    let of_another = bob.prepare_update().group_info;
    bob.forget_commit();
    let commit = Prepared { group_info: of_another, ..alice.prepare_update() };
    table.refused("the info of another commit", alice, &commit, mismatch).await;
    let mut commit = alice.prepare_update();
    *commit.group_info.last_mut().unwrap() ^= 1;
    table.refused("an info with a broken signature", alice, &commit, mismatch).await;

    let unwelcome = (422, "welcome_mismatch");
    let commit = Prepared { welcome: None, ..alice.prepare_adds(vec![dave.key_package()]) };
    table.refused("nobody is welcomed", alice, &commit, unwelcome).await;
    let for_erin = alice.prepare_adds(vec![erin.key_package()]).welcome;
    alice.forget_commit();
    let both = vec![dave.key_package(), erin.key_package()];
    let commit = Prepared { welcome: for_erin.clone(), ..alice.prepare_adds(both) };
    table.refused("one of two is welcomed", alice, &commit, unwelcome).await;
    let commit =
        Prepared { welcome: for_erin.clone(), ..alice.prepare_adds(vec![dave.key_package()]) };
    table.refused("somebody else is welcomed", alice, &commit, unwelcome).await;
    let commit = Prepared { welcome: for_erin, ..alice.prepare_update() };
    table.refused("a welcome for nobody", alice, &commit, unwelcome).await;
    table.scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_malformed_or_of_no_epoch_is_refused(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut others = scene.group_of(1).await;
    let mut members = scene.group_of(2).await;
    let alice = &mut members[0];
    let table = Table::of(scene).await;
    let malformed = (422, "malformed_mls");
    let good = alice.prepare_update();
    alice.forget_commit();

    let with = |commit: Vec<u8>| Prepared { commit, ..good.clone() };
    let cut = good.commit[..good.commit.len() - 1].to_vec();
    let longer = [good.commit.as_slice(), &[0]].concat();
    let of_other = others[0].prepare_update().commit;
    let proposal = alice.leave_proposal();
    for (what, commit) in [
        ("nothing", vec![]),
        ("noise", vec![0x5A; 300]),
        ("cut short", cut),
        ("more behind it", longer),
        ("a group info", good.group_info.clone()),
        ("a proposal", proposal),
        ("a commit of another group", of_other),
    ] {
        table.refused(what, alice, &with(commit), malformed).await;
    }
    let noise = Prepared { group_info: vec![1; 40], ..good.clone() };
    table.refused("a group info of noise", alice, &noise, malformed).await;
    let mut broken = good.clone();
    *broken.commit.last_mut().unwrap() ^= 1;
    let at = broken.commit.len() / 2;
    broken.commit[at] ^= 1;
    let answer = alice.post(&broken).await;
    assert_eq!(answer.status.as_u16(), 422, "{}", answer.json());
    let large = with(vec![0; 512 * 1024 + 1]);
    table.refused("a commit that is too large", alice, &large, (422, "too_large")).await;
    let both = Prepared { welcome: Some(vec![0; 512 * 1024 + 1]), ..with(vec![0; 512 * 1024]) };
    table.refused("a welcome that is too large", alice, &both, (422, "too_large")).await;
    let sealed = Prepared { sealed_metadata: vec![0; 18 * 1024 + 1], ..good.clone() };
    table.refused("metadata that are too large", alice, &sealed, (422, "too_large")).await;

    let skipped = alice.prepare_update();
    alice.group.as_mut().unwrap().merge_pending_commit(&alice.provider).unwrap();
    let ahead = alice.prepare_update();
    table.refused("an epoch that has not begun", alice, &ahead, (422, "commit_invalid")).await;
    alice.post(&skipped).await.ok();
    table.scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn while_keys_are_away_no_commit_that_needs_them_is_taken(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let alice = &mut members[0];
    let dave = scene.person();
    scene.stage.keys.kill().await;
    let table = Table::of(scene).await;

    let commit = alice.prepare_adds(vec![dave.key_package()]);
    table.refused("keys are away", alice, &commit, (503, "unavailable")).await;
    // What is remembered is good enough for one who is known.
    alice.update().await;
    table.scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_group_that_is_none_of_ours_is_not_made(db: PgPool) {
    let scene = Scene::set(db).await;
    let (mut alice, mut mallory) = (scene.person(), scene.person());
    let group = GroupId::new(random());
    let table = Table::of(scene).await;
    let good = alice.found(group, 0, &alice.policy());
    let cases = [
        ("by somebody else", (403, "not_allowed"), good.clone()),
        ("noise", (422, "malformed_mls"), json!({ "group_info": base64(&[7; 50]) })),
        (
            "no tree",
            (422, "group_info_mismatch"),
            json!({ "group_info": base64(&alice.group_info(false)) }),
        ),
    ];
    for (what, (status, reason), body) in cases {
        let caller = if what == "by somebody else" { &mallory } else { &alice };
        let answer = caller.call(Method::POST, "", &body).await;
        let problem = answer.json();
        let said = (answer.status.as_u16(), problem["reason"].as_str());
        assert_eq!(said, (status, Some(reason)), "{what}: {problem}");
    }
    let mut of_alice = mallory.policy();
    of_alice.admins = [alice.leaf.account].into();
    let body = mallory.found(GroupId::new(random()), 0, &of_alice);
    mallory.call(Method::POST, "", &body).await.refused(403, "not_allowed");
    mallory.provider = Provider::default();
    let body = mallory.found(GroupId::new(random()), 1, &mallory.policy());
    mallory.call(Method::POST, "", &body).await.refused(422, "malformed_mls");
    assert_eq!(table.scene.stage.dump().await, table.before);
    table.scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn only_a_wish_to_leave_is_taken_as_a_proposal(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(3).await;
    let [alice, bob, carol] = members.as_mut_slice() else { panic!("three") };
    let stale = bob.leave_proposal();
    alice.update().await;
    carol.catch_up().await;
    bob.catch_up().await;
    let table = Table::of(scene).await;

    let answer = bob.propose(&stale).await;
    answer.refused(409, "stale_epoch");
    let leaf = carol.index();
    let group = bob.group.as_mut().unwrap();
    let (other, _) = group.propose_remove_member(&bob.provider, &bob.signer, leaf).unwrap();
    group.clear_pending_proposals(bob.provider.storage()).unwrap();
    let answer = bob.propose(&other.to_bytes().unwrap()).await;
    assert_eq!(answer.refused(403, "not_allowed")["rule"], "proposal");
    let carols = carol.leave_proposal();
    let answer = bob.propose(&carols).await;
    assert_eq!(answer.refused(403, "not_allowed")["rule"], "own_leaf");
    let admins = alice.leave_proposal();
    let answer = alice.propose(&admins).await;
    assert_eq!(answer.refused(403, "not_allowed")["rule"], "last_admin");
    let extensions = vec![Extension::RequiredCapabilities(
        openmls::prelude::RequiredCapabilitiesExtension::default(),
    )];
    let extensions = openmls::prelude::Extensions::from_vec(extensions).unwrap();
    let group = bob.group.as_mut().unwrap();
    let proposed = group.propose_group_context_extensions(&bob.provider, extensions, &bob.signer);
    if let Ok((proposal, _)) = proposed {
        group.clear_pending_proposals(bob.provider.storage()).unwrap();
        bob.propose(&proposal.to_bytes().unwrap()).await.refused(403, "not_allowed");
    }
    bob.propose(b"noise").await.refused(422, "malformed_mls");

    assert_eq!(table.scene.stage.dump().await, table.before);
    table.scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn during_maintenance_no_group_changes_and_all_are_read(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let [alice, bob] = members.as_mut_slice() else { panic!("two") };
    let group = alice.path("log");
    let until_ms = Some(scene.stage.now_ms() + 60_000);
    let maintenance = Maintenance { reason: None, until_ms };
    scene.stage.maintenance.send_replace(Some(Arc::new(maintenance)));
    let table = Table::of(scene).await;

    let commit = alice.prepare_update();
    table.refused("a commit in maintenance", alice, &commit, (503, "read_only")).await;
    let leave = bob.leave_proposal();
    bob.propose(&leave).await.refused(503, "read_only");
    let mut dave = table.scene.person();
    let body = dave.found(GroupId::new(random()), 0, &dave.policy());
    dave.call(Method::POST, "", &body).await.refused(503, "read_only");
    bob.get(&group).await.octets();
    bob.get(&bob.path("info")).await.ok();

    table.scene.stage.maintenance.send_replace(None);
    alice.update().await;
    table.scene.end().await;
}
