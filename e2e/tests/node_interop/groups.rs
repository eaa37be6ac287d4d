//! Groups with `ts-mls`, another implementation of RFC 9420 than ours: each side makes
//! groups and joins those of the other, commits and follows, writes and reads.
//!
//! They find what server and SDK have wrong together, since both stand on `crates/mls`: with
//! another label for the exporter on one side, or the epoch the other way round in what is
//! authenticated, they fail.

use serde_json::{Value, json};
use sotto_client::{Body, Direction, Draft, GroupStanding};
use sotto_e2e::{Front, PATIENCE, Person};
use sotto_ids::{AccountId, GroupId};
use sotto_testkit::{Cluster, wait_for};

use crate::node_client::NodeClient;

/// KeyPackages for one use that the other side publishes.
const KEY_PACKAGES: u32 = 5;

/// A deployment, and somebody with a client that nobody here wrote.
struct Stage {
    cluster: Cluster,
    front: Front,
    node: Other,
}

/// Somebody with a client that nobody here wrote.
struct Other {
    client: NodeClient,
    account: AccountId,
}

impl Stage {
    async fn set() -> Option<Self> {
        let mut client = NodeClient::start().await?;
        let cluster = Cluster::builder().start().await.unwrap();
        let front = Front::before(&cluster);
        let account = client
            .register_through(&cluster, front.url(), "vignette", "node")
            .await
            .parse()
            .unwrap();
        client.ask("publish_key_packages", json!({ "count": KEY_PACKAGES })).await;
        client.connect().await;
        Some(Self { cluster, front, node: Other { client, account } })
    }

    /// Somebody with our client, who is online and has the other side among their contacts.
    async fn person(&self, name: &str) -> Person {
        let person =
            Person::register_through(&self.cluster, self.front.url(), "socialink", name).await;
        person.go_online().await;
        assert_eq!(person.meet(&self.node.account.to_string()).await, self.node.account);
        person
    }

    async fn strike(self) {
        self.cluster.stop().await.unwrap();
    }
}

impl Other {
    async fn create(&mut self, name: &str) -> GroupId {
        let answer = self.client.ask("create_group", json!({ "name": name })).await;
        answer["group"].as_str().unwrap().parse().unwrap()
    }

    async fn add(&mut self, group: GroupId, person: &Person) {
        let accounts = [person.account.to_string()];
        self.ask(group, "add_to_group", json!({ "accounts": accounts })).await;
    }

    async fn remove(&mut self, group: GroupId, person: &Person) {
        let account = person.account.to_string();
        self.ask(group, "remove_from_group", json!({ "account": account })).await;
    }

    async fn update(&mut self, group: GroupId) {
        self.ask(group, "update_group", json!({})).await;
    }

    async fn say(&mut self, group: GroupId, text: &str) {
        self.ask(group, "send_to_group", json!({ "text": text })).await;
    }

    /// The next text that it reads in a group, and who wrote it.
    async fn reads(&mut self, group: GroupId) -> (AccountId, String) {
        let event = self.client.event("group_message").await;
        assert_eq!(event["group"], json!(group.to_string()));
        (event["from"].as_str().unwrap().parse().unwrap(), event["text"].as_str().unwrap().into())
    }

    /// What it knows of a group.
    async fn sees(&mut self, group: GroupId) -> Value {
        self.ask(group, "show_group", json!({})).await
    }

    /// Follows changes of a group until it is like this.
    async fn comes_to_see(&mut self, group: GroupId, is_so: impl Fn(&Value) -> bool) {
        while !is_so(&self.sees(group).await) {
            self.client.event("group_changed").await;
        }
    }

    async fn comes_to_see_members(&mut self, group: GroupId, count: usize) {
        self.comes_to_see(group, |seen| seen["members"].as_array().unwrap().len() == count).await;
    }

    async fn ask(&mut self, group: GroupId, command: &str, mut arguments: Value) -> Value {
        arguments["group"] = json!(group.to_string());
        self.client.ask(command, arguments).await
    }
}

async fn say(person: &Person, group: GroupId, text: &str) {
    person.client.send_to_group(group, Draft::text(text)).await.unwrap();
    person.flush().await;
}

/// Waits until a person has come into a group as it is now, and gives its name.
async fn joins(person: &Person, group: GroupId) -> String {
    wait_for(PATIENCE, "the group", || async {
        let groups = person.client.groups().await.unwrap();
        let found = groups.into_iter().find(|one| one.id == group && one.standing.is_in());
        found.map(|one| one.name).ok_or("not in it")
    })
    .await
}

/// Waits until a person has read so many texts of others in a group.
async fn reads(person: &Person, group: GroupId, count: usize) -> Vec<String> {
    wait_for(PATIENCE, &format!("{count} texts in the group"), || async {
        let texts = texts(person, group).await;
        if texts.len() >= count { Ok(texts) } else { Err(texts.len()) }
    })
    .await
}

async fn texts(person: &Person, group: GroupId) -> Vec<String> {
    let history = person.client.group_history(group, 500, None).await.unwrap_or_default();
    let received = history.into_iter().filter(|one| one.direction == Direction::Received);
    received
        .map(|one| match one.body {
            Body::Text(text) => text,
            other => panic!("no text: {other:?}"),
        })
        .collect()
}

async fn stands(person: &Person, group: GroupId, standing: GroupStanding) {
    wait_for(PATIENCE, &format!("{standing:?}"), || async {
        let now = person.client.group(group).await.unwrap().group.standing;
        if now == standing { Ok(()) } else { Err(now) }
    })
    .await;
}

/// The other side makes the group: our client joins by its Welcome, follows its commits,
/// and commits itself.
#[tokio::test(flavor = "multi_thread")]
async fn our_client_is_in_a_group_that_the_other_implementation_of_mls_made() {
    let Some(mut stage) = Stage::set().await else { return };
    let alice = stage.person("alice").await;
    let carol = stage.person("carol").await;
    let node = &mut stage.node;

    let group = node.create("Tennis").await;
    node.add(group, &alice).await;
    assert_eq!(joins(&alice, group).await, "Tennis");

    node.say(group, "Tuesday?").await;
    assert_eq!(reads(&alice, group, 1).await, ["Tuesday?"]);
    say(&alice, group, "At six.").await;
    assert_eq!(node.reads(group).await, (alice.account, "At six.".to_owned()));

    // Each renews its leaf, and the other follows.
    for round in 1..=3 {
        node.update(group).await;
        let (answer, question) = (format!("answer {round}"), format!("question {round}"));
        node.say(group, &answer).await;
        assert_eq!(reads(&alice, group, 1 + round).await.last(), Some(&answer));
        assert!(alice.client.update_group_keys(group).await.unwrap());
        say(&alice, group, &question).await;
        assert_eq!(node.reads(group).await, (alice.account, question));
    }

    node.add(group, &carol).await;
    assert_eq!(joins(&carol, group).await, "Tennis");
    say(&carol, group, "Me too.").await;
    assert_eq!(node.reads(group).await, (carol.account, "Me too.".to_owned()));
    assert_eq!(reads(&alice, group, 5).await.last().unwrap(), "Me too.");

    node.remove(group, &carol).await;
    stands(&carol, group, GroupStanding::Removed).await;
    node.say(group, "Just us.").await;
    assert_eq!(reads(&alice, group, 6).await.last().unwrap(), "Just us.");
    assert!(texts(&carol, group).await.is_empty());
    stage.strike().await;
}

/// Our client makes the group: the other side joins by its Welcome and the tree beside it,
/// and follows all that our client can do to a group.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_implementation_of_mls_is_in_a_group_that_our_client_made() {
    let Some(mut stage) = Stage::set().await else { return };
    let alice = stage.person("alice").await;
    let carol = stage.person("carol").await;
    let node = &mut stage.node;

    let group = alice.client.create_group("Chess", None).await.unwrap();
    let added = alice.client.add_to_group(group, &[node.account]).await.unwrap();
    assert_eq!(added.added, [node.account]);
    assert_eq!(node.client.event("group_joined").await["group"], json!(group.to_string()));
    let seen = node.sees(group).await;
    assert_eq!((&seen["name"], &seen["epoch"]), (&json!("Chess"), &json!(1)));

    say(&alice, group, "e4").await;
    assert_eq!(node.reads(group).await, (alice.account, "e4".to_owned()));
    node.say(group, "e5").await;
    assert_eq!(reads(&alice, group, 1).await, ["e5"]);

    // The extensions of the group change, among them the list of external senders.
    assert!(alice.client.rename_group(group, "Go").await.unwrap());
    node.comes_to_see(group, |seen| seen["name"] == "Go").await;

    alice.client.add_to_group(group, &[carol.account]).await.unwrap();
    assert_eq!(joins(&carol, group).await, "Go");
    node.update(group).await;
    node.say(group, "Welcome, Carol.").await;
    assert_eq!(reads(&carol, group, 1).await, ["Welcome, Carol."]);
    assert!(alice.client.remove_from_group(group, &[carol.account]).await.unwrap());
    node.comes_to_see_members(group, 2).await;

    node.ask(group, "leave_group", json!({})).await;
    node.comes_to_see(group, |seen| seen["out"] == json!(true)).await;

    alice.client.add_to_group(group, &[node.account]).await.unwrap();
    node.client.event("group_joined").await;
    node.say(group, "Once more.").await;
    assert_eq!(reads(&alice, group, 3).await.last().unwrap(), "Once more.");
    assert!(alice.client.remove_from_group(group, &[node.account]).await.unwrap());
    node.comes_to_see(group, |seen| seen["out"] == json!(true)).await;
    stage.strike().await;
}

/// Both sides change the group at the same time, and write in epochs that end meanwhile:
/// whoever was slower makes it again.
#[tokio::test(flavor = "multi_thread")]
async fn both_implementations_of_mls_commit_at_once_and_nothing_is_lost() {
    const ROUNDS: usize = 10;
    let Some(mut stage) = Stage::set().await else { return };
    let alice = stage.person("alice").await;
    let node = &mut stage.node;
    let group = alice.client.create_group("Ludo", None).await.unwrap();
    alice.client.add_to_group(group, &[node.account]).await.unwrap();
    node.client.event("group_joined").await;

    for round in 0..ROUNDS {
        let (ours, theirs) = (format!("ours {round}"), format!("theirs {round}"));
        let us = async {
            assert!(alice.client.update_group_keys(group).await.unwrap());
            say(&alice, group, &ours).await;
        };
        let them = async {
            node.say(group, &theirs).await;
            node.update(group).await;
        };
        tokio::join!(us, them);
        assert_eq!(node.reads(group).await, (alice.account, ours));
        assert_eq!(reads(&alice, group, round + 1).await.last(), Some(&theirs));
    }

    let epoch = u64::try_from(1 + 2 * ROUNDS).unwrap();
    node.comes_to_see(group, |seen| seen["epoch"] == json!(epoch)).await;
    assert_eq!(alice.client.group(group).await.unwrap().group.epoch, epoch);
    stage.strike().await;
}

/// Both sides come in from outside by a GroupInfo that the other has signed.
#[tokio::test(flavor = "multi_thread")]
async fn each_implementation_of_mls_follows_the_other_when_it_comes_in_from_outside() {
    let Some(mut stage) = Stage::set().await else { return };
    let alice = stage.person("alice").await;
    let node = &mut stage.node;
    let group = alice.client.create_group("Bridge", None).await.unwrap();
    alice.client.add_to_group(group, &[node.account]).await.unwrap();
    node.client.event("group_joined").await;

    node.ask(group, "rejoin_group", json!({})).await;
    node.say(group, "Back again.").await;
    assert_eq!(reads(&alice, group, 1).await, ["Back again."]);
    node.update(group).await;

    // A copy of the device that knows nothing of the last commit that the device made.
    let (phone, copy) = alice.copy_device(&stage.cluster, 0).await;
    phone.go_online().await;
    assert!(phone.client.update_group_keys(group).await.unwrap());
    phone.client.clone().close().await;
    copy.go_online().await;
    node.comes_to_see(group, |seen| seen["epoch"] == json!(5)).await;
    say(&copy, group, "So am I.").await;
    assert_eq!(node.reads(group).await, (copy.account, "So am I.".to_owned()));
    let seen = node.sees(group).await;
    assert_eq!((&seen["name"], seen["members"].as_array().unwrap().len()), (&json!("Bridge"), 2));
    node.say(group, "Good.").await;
    assert_eq!(reads(&copy, group, 2).await.last().unwrap(), "Good.");
    stage.strike().await;
}

/// The devices of an account change: one comes in by a commit of our client; the server
/// proposes in its own name that a revoked one goes, and the other side commits that.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_implementation_of_mls_removes_a_device_that_was_revoked() {
    let Some(mut stage) = Stage::set().await else { return };
    let alice = stage.person("alice").await;
    let node = &mut stage.node;
    let group = node.create("Darts").await;
    node.add(group, &alice).await;
    assert_eq!(joins(&alice, group).await, "Darts");

    let laptop = alice.add_device(&stage.cluster, 0).await;
    laptop.go_online().await;
    node.comes_to_see_members(group, 3).await;
    assert_eq!(joins(&laptop, group).await, "Darts");

    alice.client.go_offline().await;
    let revoked = laptop.client.me().await.unwrap().unwrap().device;
    alice.client.revoke_device(revoked).await.unwrap();
    node.comes_to_see(group, |seen| seen["proposals"] == json!(true)).await;
    node.update(group).await;
    node.say(group, "Just the phone.").await;
    let seen = node.sees(group).await;
    assert_eq!((&seen["proposals"], seen["members"].as_array().unwrap().len()), (&json!(false), 2));

    alice.go_online().await;
    assert_eq!(reads(&alice, group, 1).await, ["Just the phone."]);
    say(&alice, group, "Indeed.").await;
    assert_eq!(node.reads(group).await, (alice.account, "Indeed.".to_owned()));
    stage.strike().await;
}
