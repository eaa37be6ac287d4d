//! What happens at once.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;
use sotto_proto::socket::GroupEntryKind;
use sqlx::PgPool;

use crate::scene::{Member, Scene};

/// I-4. Sabotage it caught: `AND epoch = $3` taken out of the compare-and-set in
/// `db::groups::advance`. Two replicas are needed for that: within one, commits take turns.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn of_a_hundred_commits_at_once_one_wins_and_all_end_equal(db: PgPool) {
    const EPOCHS: u64 = 3;
    let scene = Scene::with_replicas(2, db).await;
    let mut members = scene.group_of(100).await;
    for (number, member) in members.iter_mut().enumerate() {
        member.turn_to(&scene.replicas[number % 2]);
    }

    for epoch in 2..2 + EPOCHS {
        let prepared: Vec<_> = members.iter_mut().map(Member::prepare_update).collect();
        let posts = members.iter().zip(&prepared).map(|(member, commit)| member.post(commit));
        let answers = join_all(posts).await;

        let winners: Vec<_> =
            (0..answers.len()).filter(|number| answers[*number].status.is_success()).collect();
        let [winner] = winners[..] else { panic!("{} have won", winners.len()) };
        let won = answers[winner].json();
        assert_eq!(won["epoch"], epoch);
        for (number, (member, answer)) in members.iter_mut().zip(answers).enumerate() {
            if number == winner {
                member.merge(won["seq"].as_u64().unwrap());
                continue;
            }
            member.forget_commit();
            let entries = answer.entries();
            answer.refused(409, "epoch_taken");
            assert_eq!(entries.len(), 1);
            assert_eq!(entries[0].message, prepared[winner].commit, "the loser gets the winner");
            member.process(&entries[0]);
        }
        let secrets: HashSet<_> = members.iter().map(Member::secret).collect();
        assert_eq!(secrets.len(), 1, "all are in the same epoch");
    }

    let log = members[0].get(&members[0].path("log")).await.octets();
    let page = <sotto_proto::groups::LogPage as prost::Message>::decode(log.as_slice()).unwrap();
    let commits = page.entries.iter().filter(|entry| entry.kind() == GroupEntryKind::Commit);
    let epochs: Vec<_> = commits.map(|entry| entry.epoch).collect();
    assert_eq!(epochs, (0..=EPOCHS).collect::<Vec<_>>());
    scene.end().await;
}

/// A commit is checked against the proposals that there were. Sabotage it caught: the second
/// look at them, in the transaction, taken out.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn no_commit_slips_past_a_proposal_that_comes_at_the_same_time(db: PgPool) {
    let scene = Scene::with_replicas(2, db).await;
    let crowd: Vec<_> = (0..20).map(|_| scene.person()).collect();
    for _ in 0..15 {
        let mut members = scene.group_of(2).await;
        let [alice, bob] = members.as_mut_slice() else { panic!("two") };
        bob.turn_to(&scene.replicas[1]);
        let proposal = bob.leave_proposal();
        // It takes longer to check than the proposal does.
        let commit = alice.prepare_adds(crowd.iter().map(Member::key_package).collect());

        let (proposed, committed) = tokio::join!(bob.propose(&proposal), alice.post(&commit));

        match (proposed.status.is_success(), committed.status.is_success()) {
            (true, false) => drop(committed.refused(409, "proposals_missing")),
            (false, true) => drop(proposed.refused(409, "stale_epoch")),
            both => panic!("{both:?}: the proposal stands in an epoch that ended without it"),
        }
    }
    scene.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn one_reset_wins_and_no_commit_of_the_old_generation_follows_it(db: PgPool) {
    let scene = Scene::with_replicas(2, db).await;
    let mut members = scene.group_of(2).await;
    let [alice, bob] = members.as_mut_slice() else { panic!("two") };
    bob.turn_to(&scene.replicas[1]);
    let mut policy = alice.policy();
    policy.admins.insert(bob.leaf.account);
    let both = alice.prepare_policy(&policy);
    alice.commit(&both).await.ok();
    bob.catch_up().await;
    let (group, _) = alice.id();
    let path = alice.path("reset");
    let old = alice.prepare_update();
    let bodies = [&mut *alice, &mut *bob].map(|member| {
        member.provider = sotto_mls_provider::Provider::default();
        let mut body = member.found(group, 1, &member.policy());
        body["generation"] = json!(0);
        body
    });

    let (by_alice, by_bob) = tokio::join!(
        alice.call(reqwest::Method::POST, &path, &bodies[0]),
        bob.call(reqwest::Method::POST, &path, &bodies[1]),
    );

    let (winner, loser) =
        if by_alice.status.is_success() { (&*alice, by_bob) } else { (&*bob, by_alice) };
    assert!(
        ["generation_taken", "not_a_member"].contains(&loser.json()["reason"].as_str().unwrap())
    );
    let problem = winner.post(&old).await.json();
    assert_eq!(problem["reason"], "epoch_taken", "{problem}");
    assert_eq!(scene.stage.count("groups WHERE generation = 1").await, 1);
    scene.end().await;
}
