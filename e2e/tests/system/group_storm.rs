//! A group that lives on while everything under it is killed.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use sotto_client::{Direction, Draft, GroupStanding, Message, ids::GroupId};
use sotto_e2e::{Front, Person};
use sotto_testkit::{Cluster, Role, wait_for};
use sqlx::{Connection as _, PgConnection};

use crate::groups::{has_packages, stands};

const MEMBERS: usize = 10;
const MESSAGES_EACH: usize = 40;

/// After so many messages a member takes new keys.
const BETWEEN_COMMITS: usize = 8;

/// How long all of it may take on a busy machine.
const OVER_WITHIN: Duration = Duration::from_mins(3);

#[derive(Debug, Clone, Copy)]
enum Victim {
    Process(Role, usize),
    Postgres,
}

/// Each part at least once, and groups more often.
const VICTIMS: [Victim; 9] = [
    Victim::Process(Role::Groups, 0),
    Victim::Process(Role::Gateway, 0),
    Victim::Process(Role::Groups, 1),
    Victim::Process(Role::Messages, 0),
    Victim::Postgres,
    Victim::Process(Role::Groups, 0),
    Victim::Process(Role::Gateway, 1),
    Victim::Postgres,
    Victim::Process(Role::Groups, 1),
];

/// What a member shows, in its order.
async fn history(person: &Person, group: GroupId) -> Vec<Message> {
    person.client.group_history(group, 2 * MEMBERS * MESSAGES_EACH, None).await.unwrap()
}

fn text(message: &Message) -> String {
    message.body.text().map_or_else(|| format!("{:?}", message.body), str::to_owned)
}

/// When each device came in, and what is in the log of each kind.
async fn joined(group: GroupId, cluster: &Cluster) -> Vec<(i64, i64)> {
    let mut db = PgConnection::connect(cluster.database_url()).await.unwrap();
    let query = "SELECT leaf_index::bigint, joined_seq FROM groups.members \
                 WHERE group_id = $1 AND removed_seq IS NULL ORDER BY 1";
    sqlx::query_as(query).bind(group.as_uuid()).fetch_all(&mut db).await.unwrap()
}

/// I-2, I-3, I-4. Ten people write to a group and take new keys in it, all at once, while its
/// replicas, both gateways, messages and Postgres are killed with SIGKILL one after another. In
/// the end all are in the same epoch, without one having come in anew; each message is shown
/// once to each member, in the one order of the log.
///
/// Caught: a Postgres that says that something is durable before it is (`synchronous_commit`
/// off): members stand in an epoch that the server has forgotten, and what they write never
/// gets in.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_servers_are_killed_again_and_again_stays_one_group() {
    let builder = Cluster::builder().gateways(2).groups(2).on_private_servers();
    let mut cluster = sotto_load::settings::groups_without_limit()
        .into_iter()
        .fold(builder.writing_without_limit(), |builder, (name, value)| {
            builder.setting(name, value)
        })
        .start()
        .await
        .unwrap();
    let front = Front::before(&cluster);
    let names: Vec<String> = (0..MEMBERS).map(|number| format!("member{number}")).collect();
    let people =
        names.iter().map(|name| Person::register_through(&cluster, front.url(), "socialink", name));
    let people = join_all(people).await;
    for person in people.iter().skip(1) {
        person.meet(&names[0]).await;
    }
    join_all(people.iter().map(async |person| {
        person.go_online().await;
        has_packages(person).await;
    }))
    .await;
    let group = people[0].client.create_group("Storm", None).await.unwrap();
    let others: Vec<_> = people.iter().skip(1).map(|person| person.account).collect();
    people[0].client.add_to_group(group, &others).await.unwrap();
    join_all(people.iter().map(|person| stands(person, group, GroupStanding::Member))).await;
    let before = joined(group, &cluster).await;

    let total = MEMBERS * MESSAGES_EACH;
    let acting = join_all(people.iter().enumerate().map(async |(writer, person)| {
        for number in 0..MESSAGES_EACH {
            let draft = Draft::text(format!("{writer} {number:02}"));
            person.client.send_to_group(group, draft).await.unwrap();
            if number % BETWEEN_COMMITS == BETWEEN_COMMITS - 1 {
                // It may be that nobody answers, or that others are always first.
                person.client.update_group_keys(group).await.ok();
            }
        }
        person.client.flush(OVER_WITHIN).await.unwrap();
    }));
    let killing = async {
        for (round, victim) in VICTIMS.into_iter().enumerate() {
            let reached = total / (VICTIMS.len() + 2) * round;
            wait_for(OVER_WITHIN, "the middle of it", async || {
                let shown = history(&people[0], group).await.len();
                if shown >= reached { Ok(()) } else { Err(shown) }
            })
            .await;
            match victim {
                Victim::Process(role, index) => {
                    cluster.kill9(role, index).await;
                    cluster.restart(role, index).await.unwrap();
                }
                Victim::Postgres => {
                    let postgres = cluster.servers_mut().private_postgres().unwrap();
                    postgres.kill9().await;
                    postgres.restart().await.unwrap();
                }
            }
        }
    };
    tokio::join!(acting, killing);

    wait_for(OVER_WITHIN, "all to have all of it, in one epoch", async || {
        let mut seen = Vec::new();
        for person in &people {
            let epoch = person.client.groups().await.unwrap()[0].epoch;
            seen.push((epoch, history(person, group).await.len()));
        }
        let is_over = seen.iter().all(|one| one.0 == seen[0].0 && one.1 >= total);
        if is_over { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(joined(group, &cluster).await, before, "nobody came in anew");
    // The order in which the first shows what the others wrote is that of the log.
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for person in &people {
        let shown: Vec<_> = history(person, group).await.iter().map(text).collect();
        assert_eq!(shown.len(), total, "nothing is shown twice");
        for (place, text) in shown.into_iter().enumerate() {
            places.entry(text).or_default().push(place);
        }
    }
    assert_eq!(places.len(), total, "each message is there");
    let received = async |person: &Person, without: [usize; 2]| {
        let own = without.map(|writer| format!("{writer} "));
        let all = history(person, group).await;
        all.iter()
            .filter(|message| message.direction == Direction::Received)
            .map(text)
            .filter(|text| !own.iter().any(|own| text.starts_with(own)))
            .collect::<Vec<_>>()
    };
    for (number, person) in people.iter().enumerate().skip(1) {
        let (first, own) =
            (received(&people[0], [0, number]).await, received(person, [0, number]).await);
        assert_eq!(first, own, "in one order");
    }
    for writer in 0..MEMBERS {
        let reader = &people[(writer + 1) % MEMBERS];
        let begins = format!("{writer} ");
        let all = history(reader, group).await;
        let of_writer: Vec<_> =
            all.iter().map(text).filter(|text| text.starts_with(&begins)).collect();
        let written: Vec<_> =
            (0..MESSAGES_EACH).map(|number| format!("{writer} {number:02}")).collect();
        assert_eq!(of_writer, written, "as they were written");
    }
    cluster.stop().await.unwrap();
}
