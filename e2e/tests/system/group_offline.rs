//! Members who were away for long.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sotto_client::{Event, GroupStanding, ids::GroupId};
use sotto_e2e::{
    Front, PATIENCE, Person,
    raw::{Ask, Change, Member, Party, Raw},
};
use sotto_ids::Base64Bytes;
use sotto_testkit::{Cluster, cluster::Builder, wait_for};
use sqlx::{Connection as _, PgConnection};

use crate::groups::{has_packages, say, shown, shows, stands};

const COMMITS: usize = 500;

/// In each epoch, all at once.
const MESSAGES_EACH: usize = 10;

/// How long one may take to catch up with all that on a machine that does other things too.
const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(2);

fn builder() -> Builder {
    sotto_load::settings::groups_without_limit()
        .into_iter()
        .chain(sotto_load::settings::long_tokens())
        .fold(Cluster::builder(), |builder, (name, value)| builder.setting(name, value))
}

/// Takes a KeyPackage of somebody's only device.
async fn package_of(person: &Person, by: &Member, raw: &Raw) -> Vec<u8> {
    let body = json!({ "accounts": [person.account] });
    let ask = Ask::new(Method::POST, "/v1/key-packages").token(Some(by.token())).json(&body);
    let heard = raw.ask(ask).await;
    assert_eq!(heard.word(), "200");
    let package = heard.body["accounts"][0]["devices"][0]["key_package"].clone();
    serde_json::from_value::<Base64Bytes>(package).unwrap().0
}

/// The entries of the log with which the devices of a group came into it.
async fn joined(group: GroupId, cluster: &Cluster) -> Vec<(i64, i64)> {
    let mut db = PgConnection::connect(cluster.database_url()).await.unwrap();
    let query = "SELECT leaf_index::bigint, joined_seq FROM groups.members \
                 WHERE group_id = $1 AND removed_seq IS NULL ORDER BY 1";
    sqlx::query_as(query).bind(group.as_uuid()).fetch_all(&mut db).await.unwrap()
}

/// C58, with I-2 and I-3: a member is away for 500 commits and 5,000 messages. It comes back,
/// follows each commit and shows each message, once and in the order of the log; and it has not
/// come in anew, which would have left out all that was before.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_500_commits_and_5_000_messages_has_them_all() {
    let cluster = builder().start().await.unwrap();
    let (front, raw) = (Front::before(&cluster), Raw::of(&cluster));
    let party = |name: &'static str| {
        let (token, raw) = (cluster.app_token("socialink", name), &raw);
        async move { Party::register(name, 1, 0, token, raw).await }
    };
    let (maker, other) = (party("maker").await, party("other").await);
    let (mut maker, mut other) = (Member::of(&maker, 1), Member::of(&other, 1));
    let bob = Person::register_through(&cluster, front.url(), "socialink", "bob").await;
    bob.meet("maker").await;
    bob.go_online().await;
    has_packages(&bob).await;
    let group = maker.create(&raw).await;
    maker.bring_in(std::slice::from_mut(&mut other), &raw).await;
    let package = package_of(&bob, &maker, &raw).await;
    maker.change(&Change::Add(&[package]), &raw).await;
    stands(&bob, group, GroupStanding::Member).await;
    bob.client.go_offline().await;
    let before = joined(group, &cluster).await;

    for round in 0..COMMITS {
        let letters: Vec<Value> = (0..MESSAGES_EACH)
            .map(|number| maker.write_content(&format!("message {round:03} {number}")))
            .collect();
        let said = letters.iter().map(async |letter| {
            let ask = maker.of_group(Method::POST, "messages").json(letter);
            raw.ask(ask).await.word()
        });
        assert!(join_all(said).await.iter().all(|word| word == "200"));
        maker.catch_up(&raw).await;
        maker.change(&Change::Update, &raw).await;
    }
    bob.go_online().await;

    let (epoch, _) = maker.standing();
    wait_for(CAUGHT_UP_WITHIN, "the member who was away", async || {
        let now = bob.client.groups().await.unwrap()[0].epoch;
        if now == epoch { Ok(()) } else { Err(now) }
    })
    .await;
    let mut texts = Vec::new();
    let mut position = None;
    loop {
        let page = bob.client.group_history(group, 1_000, position).await.unwrap();
        let Some(first) = page.first() else { break };
        position = Some(first.position);
        let page = page.iter().map(|message| message.body.text().unwrap_or("").to_owned());
        texts.splice(0..0, page);
    }
    let written: Vec<_> = maker.shown.iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(written.len(), COMMITS * MESSAGES_EACH);
    assert_eq!(texts.len(), written.len());
    let misplaced = texts.iter().zip(&written).find(|(got, sent)| got != sent);
    assert_eq!(misplaced, None, "in the order of the log");
    assert_eq!(joined(group, &cluster).await, before, "nobody came in anew");
    cluster.stop().await.unwrap();
}

/// C58: the log is cut by the job that cuts it, while a member is away. It comes in anew by
/// itself, reads what is said from then on, and is heard.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_longer_than_the_log_is_kept_comes_in_anew() {
    let cluster = builder().setting("groups.log.expire_every", "1s").start().await.unwrap();
    let front = Front::before(&cluster);
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let mut bob = Person::register_through(&cluster, front.url(), "socialink", "bob").await;
    bob.meet("alice").await;
    for one in [&alice, &bob] {
        one.go_online().await;
        has_packages(one).await;
    }
    let group = alice.client.create_group("Dinner", None).await.unwrap();
    alice.client.add_to_group(group, &[bob.account]).await.unwrap();
    stands(&bob, group, GroupStanding::Member).await;
    say(&alice, group, "before").await;
    shows(&bob, group, &["before"]).await;
    bob.client.go_offline().await;

    for round in 0..3 {
        say(&alice, group, &format!("long ago {round}")).await;
        alice.client.update_group_keys(group).await.unwrap();
    }
    let left_at = bob.client.groups().await.unwrap()[0].seq;
    let mut db = PgConnection::connect(cluster.database_url()).await.unwrap();
    sqlx::query("UPDATE groups.log SET server_time_ms = server_time_ms - 86400000::bigint * 31")
        .execute(&mut db)
        .await
        .unwrap();
    wait_for(PATIENCE, "the log to be cut", async || {
        let query = "SELECT kept_from_seq FROM groups.groups WHERE group_id = $1";
        let mut db = PgConnection::connect(cluster.database_url()).await.unwrap();
        let query = sqlx::query_scalar(query).bind(group.as_uuid());
        let kept: i64 = query.fetch_one(&mut db).await.unwrap();
        if kept > i64::try_from(left_at).unwrap() + 1 { Ok(()) } else { Err(kept) }
    })
    .await;
    bob.go_online().await;
    let rejoined = |event: &Event| matches!(event, Event::GroupRejoined { .. });
    bob.events.wait_for(PATIENCE, rejoined).await.unwrap();

    say(&alice, group, "today").await;
    shows(&bob, group, &["before", "today"]).await;
    say(&bob, group, "I am back").await;
    wait_for(PATIENCE, "his word", async || {
        let shown = shown(&alice, group).await;
        if shown.last().is_some_and(|text| text == "I am back") { Ok(()) } else { Err(shown) }
    })
    .await;
    cluster.stop().await.unwrap();
}
