//! People in groups, on a whole Sotto.

use sotto_client::{
    Draft, Event, GroupStanding, MessageId, Transport,
    ids::{AccountId, GroupId},
};
use sotto_e2e::{Front, PATIENCE, Person};
use sotto_testkit::{Cluster, wait_for};

use crate::commands::Terminal;

/// A cluster with one address, and three people who know each other.
struct Party {
    cluster: Cluster,
    front: Front,
    alice: Person,
    bob: Person,
    carol: Person,
}

impl Party {
    async fn new() -> Self {
        Box::pin(Self::gather()).await
    }

    async fn gather() -> Self {
        let cluster = Cluster::builder().gateways(2).start().await.unwrap();
        let front = Front::before(&cluster);
        let register = |name: &'static str| {
            let (cluster, front) = (&cluster, &front);
            async move { Person::register_through(cluster, front.url(), "socialink", name).await }
        };
        let (alice, bob, carol) =
            (register("alice").await, register("bob").await, register("carol").await);
        for (one, others) in
            [(&alice, ["bob", "carol"]), (&bob, ["alice", "carol"]), (&carol, ["alice", "bob"])]
        {
            for other in others {
                one.meet(other).await;
            }
            one.go_online().await;
            has_packages(one).await;
        }
        Self { cluster, front, alice, bob, carol }
    }

    /// A group of all three, that Alice began.
    async fn group(&self) -> GroupId {
        let group = self.alice.client.create_group("Dinner", None).await.unwrap();
        let others = [self.bob.account, self.carol.account];
        let added = self.alice.client.add_to_group(group, &others).await.unwrap();
        assert_eq!((added.added.len(), added.unreachable.len()), (2, 0));
        for one in [&self.bob, &self.carol] {
            stands(one, group, GroupStanding::Member).await;
        }
        group
    }

    fn all(&self) -> [&Person; 3] {
        [&self.alice, &self.bob, &self.carol]
    }
}

/// Waits until a device can be added to groups.
pub(super) async fn has_packages(person: &Person) {
    person.client.maintain_prekeys().await.unwrap();
}

/// Waits until a device stands so in a group.
pub(super) async fn stands(person: &Person, group: GroupId, standing: GroupStanding) {
    wait_for(PATIENCE, "a device to stand so in the group", || async {
        let groups = person.client.groups().await.unwrap();
        let now = groups.iter().find(|one| one.id == group).map(|one| one.standing);
        if now == Some(standing) { Ok(()) } else { Err(now) }
    })
    .await;
}

pub(super) async fn say(person: &Person, group: GroupId, text: &str) -> MessageId {
    let id = person.client.send_to_group(group, Draft::text(text)).await.unwrap();
    person.flush().await;
    id
}

/// What a device shows of a group.
pub(super) async fn shown(person: &Person, group: GroupId) -> Vec<String> {
    let messages = person.client.group_history(group, 1_000, None).await.unwrap();
    messages
        .into_iter()
        .map(|message| {
            message.body.text().map_or_else(|| format!("{:?}", message.body), str::to_owned)
        })
        .collect()
}

/// Waits until a device shows exactly this of a group.
pub(super) async fn shows(person: &Person, group: GroupId, texts: &[&str]) {
    wait_for(PATIENCE, "a device to show what was said", || async {
        let shown = shown(person, group).await;
        if shown == texts { Ok(()) } else { Err(shown) }
    })
    .await;
}

/// Waits until a device sees these members.
async fn sees(person: &Person, group: GroupId, members: &[AccountId]) {
    let mut expected = members.to_vec();
    expected.sort_unstable();
    wait_for(PATIENCE, "a device to see the members", || async {
        let details = person.client.group(group).await.unwrap();
        let seen: Vec<_> = details.members.iter().map(|member| member.account).collect();
        if seen == expected { Ok(()) } else { Err(details.members) }
    })
    .await;
}

/// C55, C57: three people talk, answer each other and change what they said, and all see the
/// same.
#[tokio::test(flavor = "multi_thread")]
async fn three_people_talk_in_a_group_and_all_see_the_same() {
    let party = Party::new().await;
    let group = party.group().await;

    let first = say(&party.alice, group, "Dinner?").await;
    shows(&party.bob, group, &["Dinner?"]).await;
    let answer = Draft::text("Yes!").reply_to(first);
    party.bob.client.send_to_group(group, answer).await.unwrap();
    shows(&party.carol, group, &["Dinner?", "Yes!"]).await;
    party.carol.client.react(first, Some("🍜")).await.unwrap();
    party.alice.client.edit(first, "Dinner at eight?").await.unwrap();

    for one in party.all() {
        shows(one, group, &["Dinner at eight?", "Yes!"]).await;
        wait_for(PATIENCE, "the reaction", || async {
            let reactions = one.client.reactions(first).await.unwrap();
            if reactions.len() == 1 { Ok(()) } else { Err(reactions.len()) }
        })
        .await;
    }
    let replied = party.carol.client.group_history(group, 1, None).await.unwrap();
    assert_eq!(replied[0].reply_to.map(|to| to.id), Some(first));
    assert_eq!((replied[0].peer, replied[0].group), (party.bob.account, Some(group)));
    wait_for(PATIENCE, "everybody to have everything", || async {
        let details = party.alice.client.group(group).await.unwrap();
        let seq = details.group.seq;
        let mut devices = details.members.iter().flat_map(|member| &member.devices);
        if devices.all(|device| device.delivered == Some(seq)) { Ok(()) } else { Err(details) }
    })
    .await;
    party.cluster.stop().await.unwrap();
}

/// C56: who is removed or leaves reads nothing that comes afterwards; who is added reads
/// nothing that came before.
#[tokio::test(flavor = "multi_thread")]
async fn who_goes_reads_nothing_afterwards_and_who_comes_nothing_before() {
    let mut party = Party::new().await;
    let group = party.alice.client.create_group("Dinner", None).await.unwrap();
    let (bob, carol) = (party.bob.account, party.carol.account);
    party.alice.client.add_to_group(group, &[bob]).await.unwrap();
    stands(&party.bob, group, GroupStanding::Member).await;
    say(&party.alice, group, "only us").await;
    shows(&party.bob, group, &["only us"]).await;

    party.alice.client.add_to_group(group, &[carol]).await.unwrap();
    stands(&party.carol, group, GroupStanding::Member).await;
    say(&party.bob, group, "hello Carol").await;
    shows(&party.carol, group, &["hello Carol"]).await;
    assert!(party.alice.client.remove_from_group(group, &[bob]).await.unwrap());
    stands(&party.bob, group, GroupStanding::Removed).await;
    say(&party.alice, group, "Bob is gone").await;
    shows(&party.carol, group, &["hello Carol", "Bob is gone"]).await;
    party.carol.client.leave_group(group).await.unwrap();
    let left = |event: &Event| matches!(event, Event::GroupLeft { removed: false, .. });
    party.carol.events.wait_for(PATIENCE, left).await.unwrap();
    say(&party.alice, group, "alone").await;

    sees(&party.alice, group, &[party.alice.account]).await;
    shows(&party.bob, group, &["only us", "hello Carol"]).await;
    shows(&party.carol, group, &["hello Carol", "Bob is gone"]).await;
    let refused = party.bob.client.send_to_group(group, Draft::text("still here?")).await;
    assert_eq!(refused.unwrap_err().reason(), "unknown_group");
    party.cluster.stop().await.unwrap();
}

/// C58: what the group is called and looks like reaches all, and only admins change it.
#[tokio::test(flavor = "multi_thread")]
async fn admins_give_a_group_its_name_and_choose_other_admins() {
    let party = Party::new().await;
    let group = party.group().await;
    let named = |person: &Person, name: &'static str| {
        let client = person.client.clone();
        async move {
            wait_for(PATIENCE, "the name", || async {
                let groups = client.groups().await.unwrap();
                if groups[0].name == name { Ok(()) } else { Err(groups[0].name.clone()) }
            })
            .await;
        }
    };
    named(&party.bob, "Dinner").await;

    let refused = party.bob.client.rename_group(group, "Lunch").await.unwrap_err();
    assert_eq!(refused.reason(), "not_allowed_in_group");
    party.alice.client.set_group_admin(group, party.bob.account, true).await.unwrap();
    wait_for(PATIENCE, "Bob to be an admin", || async {
        let admins = party.bob.client.groups().await.unwrap()[0].admins.clone();
        if admins.contains(&party.bob.account) { Ok(()) } else { Err(admins.len()) }
    })
    .await;
    party.bob.client.rename_group(group, "Lunch").await.unwrap();
    party.bob.client.set_group_picture(group, Some(vec![7; 9_000])).await.unwrap();

    for one in party.all() {
        named(one, "Lunch").await;
        wait_for(PATIENCE, "the picture", || async {
            let picture = one.client.groups().await.unwrap()[0].picture.clone();
            if picture == Some(vec![7; 9_000]) { Ok(()) } else { Err(picture.is_some()) }
        })
        .await;
    }
    party.cluster.stop().await.unwrap();
}

/// C57: who was away comes back and has everything, through all changes of the group.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_comes_back_and_has_everything_in_order() {
    let mut party = Party::new().await;
    let group = party.group().await;
    party.carol.client.go_offline().await;
    let mut said = Vec::new();
    for round in 0..5 {
        for (person, name) in [(&party.alice, "alice"), (&party.bob, "bob")] {
            let text = format!("{name} {round}");
            say(person, group, &text).await;
            said.push(text);
        }
        party.alice.client.update_group_keys(group).await.unwrap();
    }
    party.alice.client.rename_group(group, "Lunch").await.unwrap();
    party.carol.restart().await;

    party.carol.go_online().await;

    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    shows(&party.carol, group, &said).await;
    wait_for(PATIENCE, "the name", || async {
        let groups = party.carol.client.groups().await.unwrap();
        if groups[0].name == "Lunch" { Ok(()) } else { Err(groups[0].name.clone()) }
    })
    .await;
    say(&party.carol, group, "back").await;
    for one in party.all() {
        wait_for(PATIENCE, "the last word", || async {
            let shown = shown(one, group).await;
            if shown.last().is_some_and(|text| text == "back") { Ok(()) } else { Err(shown) }
        })
        .await;
    }
    party.cluster.stop().await.unwrap();
}

/// A message that was written for an epoch that has ended arrives all the same, once; of
/// changes at the same time each is made.
///
/// It fails where what came too late is sent again as it is, and not encrypted again.
#[tokio::test(flavor = "multi_thread")]
async fn messages_and_changes_at_the_same_time_all_arrive_once() {
    let party = Party::new().await;
    let group = party.group().await;

    let work = party.all().map(|person| async move {
        for round in 0..6 {
            let text = format!("{} {round}", person.account);
            person.client.send_to_group(group, Draft::text(text)).await.unwrap();
            person.client.update_group_keys(group).await.unwrap();
        }
        person.flush().await;
    });
    futures_util::future::join_all(work).await;

    let mut first: Option<Vec<String>> = None;
    for one in party.all() {
        let mut shown = wait_for(PATIENCE, "all messages", || async {
            let shown = shown(one, group).await;
            if shown.len() == 18 { Ok(shown) } else { Err(shown) }
        })
        .await;
        shown.sort();
        assert_eq!(first.get_or_insert_with(|| shown.clone()), &shown);
    }
    wait_for(PATIENCE, "all to be in the same epoch", || async {
        let mut epochs = Vec::new();
        for one in party.all() {
            epochs.push(one.client.groups().await.unwrap()[0].epoch);
        }
        if epochs.iter().all(|epoch| *epoch == epochs[0]) { Ok(()) } else { Err(epochs) }
    })
    .await;
    party.cluster.stop().await.unwrap();
}

/// C59: a new device of a member comes into its groups by itself, and one that is revoked
/// goes.
#[tokio::test(flavor = "multi_thread")]
async fn devices_come_into_groups_and_go_with_the_chain_of_their_account() {
    let party = Party::new().await;
    let group = party.group().await;
    let devices = |person: &Person, of: AccountId| {
        let client = person.client.clone();
        async move {
            let details = client.group(group).await.unwrap();
            let member = details.members.into_iter().find(|member| member.account == of);
            member.map_or(0, |member| member.devices.len())
        }
    };

    let laptop = party.bob.add_device(&party.cluster, 1).await;
    laptop.go_online().await;
    stands(&laptop, group, GroupStanding::Member).await;
    say(&laptop, group, "from the laptop").await;
    shows(&party.alice, group, &["from the laptop"]).await;
    shows(&party.bob, group, &["from the laptop"]).await;
    say(&party.bob, group, "from the phone").await;
    shows(&laptop, group, &["from the laptop", "from the phone"]).await;
    assert_eq!(devices(&party.carol, party.bob.account).await, 2);
    let number = laptop.client.me().await.unwrap().unwrap().device;
    party.bob.client.go_offline().await;
    party.bob.client.revoke_device(number).await.unwrap();

    wait_for(PATIENCE, "the laptop to be out", || async {
        let left = devices(&party.carol, party.bob.account).await;
        if left == 1 { Ok(()) } else { Err(left) }
    })
    .await;
    say(&party.alice, group, "without the laptop").await;
    party.bob.go_online().await;
    shows(&party.bob, group, &["from the laptop", "from the phone", "without the laptop"]).await;
    assert_eq!(shown(&laptop, group).await.len(), 2);
    drop(party.front);
    party.cluster.stop().await.unwrap();
}

/// Somebody who is no contact invites: what is said is kept, and nothing goes out before the
/// invitation is accepted; who declines is out.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_of_a_stranger_is_accepted_or_declined() {
    let party = Party::new().await;
    let dora =
        Person::register_through(&party.cluster, party.front.url(), "vignette", "dora").await;
    dora.go_online().await;
    let (bob, carol) = (dora.meet("bob").await, dora.meet("carol").await);
    let group = dora.client.create_group("New here", None).await.unwrap();
    dora.client.add_to_group(group, &[bob, carol]).await.unwrap();
    for one in [&party.bob, &party.carol] {
        stands(one, group, GroupStanding::Invited).await;
    }
    say(&dora, group, "hello").await;
    shows(&party.bob, group, &["hello"]).await;

    let refused = party.bob.client.send_to_group(group, Draft::text("who?")).await;
    assert_eq!(refused.unwrap_err().reason(), "group_not_accepted");
    party.bob.client.accept_group(group).await.unwrap();
    say(&party.bob, group, "hello Dora").await;
    party.carol.client.decline_group(group).await.unwrap();

    shows(&dora, group, &["hello", "hello Dora"]).await;
    stands(&party.carol, group, GroupStanding::Left).await;
    sees(&dora, group, &[dora.account, bob]).await;
    let met = party.bob.client.contacts().await.unwrap();
    assert!(met.iter().all(|contact| contact.account != dora.account), "no contact by that");
    party.cluster.stop().await.unwrap();
}

/// The last resort: an admin begins a group anew, and everybody is in it again.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_begins_a_group_anew_and_everybody_is_in_it_again() {
    let party = Party::new().await;
    let group = party.group().await;
    say(&party.bob, group, "before").await;
    shows(&party.carol, group, &["before"]).await;
    shows(&party.alice, group, &["before"]).await;

    let refused = party.bob.client.reset_group(group).await.unwrap_err();
    assert_eq!(refused.reason(), "not_allowed_in_group");
    let added = party.alice.client.reset_group(group).await.unwrap();

    assert_eq!(added.added.len(), 2);
    for one in party.all() {
        wait_for(PATIENCE, "the next generation", || async {
            let groups = one.client.groups().await.unwrap();
            let now = (groups[0].generation, groups[0].standing);
            if now == (1, GroupStanding::Member) { Ok(()) } else { Err(now) }
        })
        .await;
    }
    say(&party.carol, group, "after").await;
    for one in party.all() {
        shows(one, group, &["before", "after"]).await;
    }
    party.cluster.stop().await.unwrap();
}

/// What was written offline goes out in its order, once, after a restart too, and where no
/// socket opens by requests.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_offline_goes_out_in_order_by_socket_and_by_requests() {
    let mut party = Party::new().await;
    let group = party.group().await;
    party.bob.client.go_offline().await;
    let mut written = Vec::new();
    for round in 0..20 {
        let text = format!("offline thought {round}");
        party.bob.client.send_to_group(group, Draft::text(&text)).await.unwrap();
        written.push(text);
        if round == 10 {
            // What is encrypted from here on is in an epoch that has ended.
            party.alice.client.update_group_keys(group).await.unwrap();
        }
    }

    party.bob.go_by(Transport::Rest).await;
    party.bob.go_online().await;
    party.bob.flush().await;

    let mut expected: Vec<&str> = written.iter().map(String::as_str).collect();
    shows(&party.alice, group, &expected).await;
    say(&party.alice, group, "we heard").await;
    expected.push("we heard");
    for one in [&party.bob, &party.carol] {
        shows(one, group, &expected).await;
    }
    party.cluster.stop().await.unwrap();
}

/// Only the first op of an answer with several.
fn first_op(body: &mut Vec<u8>) {
    let mut rest = body.as_slice();
    let length = prost::decode_length_delimiter(&mut rest).unwrap();
    let first = body.len() - rest.len() + length;
    body.truncate(first);
}

/// A server that shows somebody an old chain lets nobody into a group by that: the change is
/// not followed, and that is said. What the chain certifies after all is followed then.
///
/// It fails where leaves are taken for certified.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_no_chain_certifies_is_not_let_in() {
    let cluster = Cluster::builder().start().await.unwrap();
    let (front, of_carol) = (Front::before(&cluster), Front::before(&cluster));
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let bob = Person::register_through(&cluster, front.url(), "socialink", "bob").await;
    let mut carol = Person::register_through(&cluster, of_carol.url(), "socialink", "carol").await;
    for one in [&alice, &bob, &carol] {
        one.go_online().await;
        has_packages(one).await;
    }
    for one in [&bob, &carol] {
        one.meet("alice").await;
    }
    let group = alice.client.create_group("Dinner", None).await.unwrap();
    alice.client.add_to_group(group, &[bob.account, carol.account]).await.unwrap();
    stands(&carol, group, GroupStanding::Member).await;
    let his = format!("/v1/accounts/{}/ops", bob.account);
    of_carol.lie(move |answer| {
        if answer.path.starts_with(&his) {
            first_op(&mut answer.body);
        }
    });

    let laptop = bob.add_device(&cluster, 0).await;
    laptop.go_online().await;
    stands(&laptop, group, GroupStanding::Member).await;
    let refused = |event: &Event| matches!(event, Event::GroupCommitRefused { reason, .. } if reason == "leaf_uncertified");
    carol.events.wait_for(PATIENCE, refused).await.unwrap();
    say(&alice, group, "hello laptop").await;
    let stopped = carol.client.send_to_group(group, Draft::text("who?")).await;
    assert_eq!(stopped.unwrap_err().reason(), "group_stopped");
    assert!(shown(&carol, group).await.is_empty());

    of_carol.be_honest();
    carol.client.synchronize_groups().await.unwrap();
    shows(&carol, group, &["hello laptop"]).await;
    say(&carol, group, "hello").await;
    shows(&alice, group, &["hello laptop", "hello"]).await;
    cluster.stop().await.unwrap();
}

/// A store that was put back has lost its place in the group, and comes in again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_put_back_comes_into_its_groups_again_by_itself() {
    let party = Party::new().await;
    let group = party.group().await;
    let (bob, mut old) = party.bob.copy_device(&party.cluster, 0).await;
    bob.go_online().await;
    bob.client.update_group_keys(group).await.unwrap();
    say(&bob, group, "from the one").await;
    shows(&party.alice, group, &["from the one"]).await;
    bob.client.close().await;

    old.go_online().await;
    let rejoined = |event: &Event| matches!(event, Event::GroupRejoined { .. });
    old.events.wait_for(PATIENCE, rejoined).await.unwrap();
    say(&old, group, "from the other").await;

    for one in [&party.alice, &party.carol] {
        shows(one, group, &["from the one", "from the other"]).await;
    }
    say(&party.alice, group, "hello again").await;
    shows(&old, group, &["from the other", "hello again"]).await;
    assert_eq!(old.client.groups().await.unwrap()[0].name, "Dinner");
    party.cluster.stop().await.unwrap();
}

/// Who was away for longer than the log is kept comes in again by itself, and goes on from
/// there. A device that cannot be welcomed does the same, and is told the name by the others.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_too_long_comes_in_again_and_hears_the_name() {
    let cluster = Cluster::builder().start().await.unwrap();
    let (front, of_carol) = (Front::before(&cluster), Front::before(&cluster));
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let mut carol = Person::register_through(&cluster, of_carol.url(), "socialink", "carol").await;
    for one in [&alice, &carol] {
        one.go_online().await;
        has_packages(one).await;
    }
    carol.meet("alice").await;
    of_carol.lie(|answer| {
        if answer.path.contains("/tree?") && answer.path.contains("epoch=1&") {
            answer.status = 410;
            answer.body = br#"{"reason":"tree_gone"}"#.to_vec();
        }
    });
    let group = alice.client.create_group("Dinner", None).await.unwrap();
    alice.client.add_to_group(group, &[carol.account]).await.unwrap();
    wait_for(PATIENCE, "the server to have no tree", || async {
        let groups = alice.client.groups().await.unwrap();
        if groups[0].epoch >= 1 { Ok(()) } else { Err(groups[0].epoch) }
    })
    .await;
    alice.client.update_group_keys(group).await.unwrap();
    stands(&carol, group, GroupStanding::Member).await;
    wait_for(PATIENCE, "the name", || async {
        let groups = carol.client.groups().await.unwrap();
        if groups[0].name == "Dinner" { Ok(()) } else { Err(groups[0].name.clone()) }
    })
    .await;

    carol.client.go_offline().await;
    say(&alice, group, "long ago").await;
    alice.client.update_group_keys(group).await.unwrap();
    of_carol.lie(|answer| {
        if answer.path.contains("/log?") {
            answer.status = 410;
            answer.body = br#"{"reason":"log_expired"}"#.to_vec();
        }
    });
    carol.go_online().await;
    let rejoined = |event: &Event| matches!(event, Event::GroupRejoined { .. });
    carol.events.wait_for(PATIENCE, rejoined).await.unwrap();
    of_carol.be_honest();
    say(&alice, group, "today").await;

    shows(&carol, group, &["today"]).await;
    assert_eq!(carol.client.groups().await.unwrap()[0].name, "Dinner");
    cluster.stop().await.unwrap();
}

/// The same from the terminal.
#[tokio::test(flavor = "multi_thread")]
async fn three_people_get_by_in_a_group_on_the_terminal() {
    let cluster = Cluster::builder().start().await.unwrap();
    let front = Front::before(&cluster);
    let [alice, bob, carol] = ["alice", "bob", "carol"]
        .map(|name| Terminal::new(&cluster, "socialink", name).by(front.url()));
    for (one, name) in [(&alice, "alice"), (&bob, "bob"), (&carol, "carol")] {
        one.run(&["register", "--handle", name]).await;
        one.run(&["prekeys"]).await;
    }
    bob.run(&["add", "alice"]).await;

    let begun = alice.run(&["group", "create", "Dinner", "bob", "carol"]).await;
    let id = begun[0]["id"].as_str().unwrap();
    let sent = alice.run(&["group", "send", "Dinner", "At eight?"]).await;
    assert_eq!((&sent[0]["state"], &sent[0]["group"]), (&"accepted".into(), &id.into()));
    let listed = bob.run(&["group", "list"]).await;
    assert_eq!((&listed[0]["name"], &listed[0]["unread"]), (&"Dinner".into(), &1.into()));
    let said = sent[0]["id"].as_str().unwrap();
    bob.run(&["group", "send", id, "Yes!", "--reply-to", said]).await;
    bob.run(&["group", "read", "Dinner"]).await;
    assert_eq!(bob.run(&["group", "list", "--offline"]).await[0]["unread"], 0);
    let invited = carol.run(&["group", "list"]).await;
    assert_eq!(invited[0]["standing"], "invited");
    let refused = carol.fails(&["group", "send", "Dinner", "who?"]).await;
    assert_eq!(refused, ("group_not_accepted".into(), Some(3)));
    assert_eq!(carol.run(&["group", "accept", "Dinner"]).await[0]["standing"], "member");

    let shown = carol.run(&["group", "history", "Dinner"]).await;
    let texts: Vec<_> = shown.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, ["At eight?", "Yes!"]);
    let refused = bob.fails(&["group", "rename", "Dinner", "Lunch"]).await;
    assert_eq!(refused, ("not_allowed_in_group".into(), Some(4)));
    alice.run(&["group", "rename", "Dinner", "Lunch"]).await;
    alice.run(&["group", "remove", "Lunch", "carol"]).await;
    carol.run(&["listen", "--drain"]).await;
    assert_eq!(carol.run(&["group", "list"]).await[0]["standing"], "removed");
    let details = bob.run(&["group", "show", "Lunch"]).await;
    assert_eq!(details[0]["members"].as_array().unwrap().len(), 2);
    assert_eq!(bob.fails(&["group", "show", "Supper"]).await.0, "unknown_group");
    cluster.stop().await.unwrap();
}
