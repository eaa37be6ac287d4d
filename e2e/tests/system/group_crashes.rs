//! Commits of groups in whose middle processes die.

mod stands;

use prost::bytes::Bytes;
use reqwest::Method;
use serde_json::Value;
use sotto_e2e::{
    raw::{Change, Member, Party, Raw, entries_of},
    rows::dump,
};
use sotto_ids::Base64Bytes;
use sotto_proto::socket::GroupEntryKind;
use sotto_testkit::{Cluster, Role};

use self::stands::Stand;

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Groups,
    Postgres,
    /// Neither has anything to do with a commit.
    GatewayAndMessages,
}

const VICTIMS: [Victim; 3] = [Victim::Groups, Victim::Postgres, Victim::GatewayAndMessages];

/// The people of one group after the other. There are few of them, so that each new group is
/// one that they all have forgotten the last for.
struct Scene {
    cluster: Cluster,
    raw: Raw,
    parties: Vec<Party>,
}

/// The maker of a group, who commits; somebody who stays, somebody who is to go, and somebody
/// who is to come.
struct Cast {
    maker: Member,
    stays: Member,
    goes: Member,
    comes: Member,
}

impl Scene {
    async fn set() -> Self {
        let builder = Cluster::builder().on_private_servers();
        let cluster = sotto_load::settings::groups_without_limit()
            .into_iter()
            .chain(sotto_load::settings::long_tokens())
            .fold(builder, |builder, (name, value)| builder.setting(name, value))
            .start()
            .await
            .unwrap();
        let raw = Raw::of(&cluster);
        let mut parties = Vec::new();
        for name in ["maker", "stays", "goes", "comes"] {
            let token = cluster.app_token("socialink", name);
            parties.push(Party::register(name, 1, 0, token, &raw).await);
        }
        Self { cluster, raw, parties }
    }

    /// A group of three, and somebody beside it.
    async fn cast(&self) -> Cast {
        let mut members = self.parties.iter().map(|party| Member::of(party, 1));
        let mut maker = members.next().unwrap();
        let (stays, goes, comes) =
            (members.next().unwrap(), members.next().unwrap(), members.next().unwrap());
        maker.create(&self.raw).await;
        let mut others = [stays, goes];
        maker.bring_in(&mut others, &self.raw).await;
        let [mut stays, goes] = others;
        stays.catch_up(&self.raw).await;
        Cast { maker, stays, goes, comes }
    }

    /// The rows of the group that a commit changes: all but the cursors, which say something
    /// else and are written at their own time.
    async fn rows(&self, cast: &Cast) -> Vec<String> {
        let group = cast.maker.group().0.to_string();
        let mut rows = dump(self.cluster.database_url()).await.unwrap();
        rows.retain(|row| row.starts_with("groups.") && row.contains(&group));
        rows
    }

    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Groups => self.cluster.kill9(Role::Groups, 0).await,
            Victim::Postgres => {
                self.cluster.servers_mut().private_postgres().unwrap().kill9().await;
            }
            Victim::GatewayAndMessages => {
                self.cluster.kill9(Role::Gateway, 0).await;
                self.cluster.kill9(Role::Messages, 0).await;
            }
        }
    }

    async fn restart(&mut self, victim: Victim) {
        match victim {
            Victim::Groups => self.cluster.restart(Role::Groups, 0).await.unwrap(),
            Victim::Postgres => {
                self.cluster.servers_mut().private_postgres().unwrap().restart().await.unwrap();
            }
            Victim::GatewayAndMessages => {
                self.cluster.restart(Role::Messages, 0).await.unwrap();
                self.cluster.restart(Role::Gateway, 0).await.unwrap();
            }
        }
    }

    /// A commit comes to stand, something dies, and what held it up lets go. Whether the
    /// commit was taken, as those who were in the middle of it can see.
    async fn die_at(&mut self, stand: Stand, victim: Victim, body: &Value, cast: &Cast) -> Seen {
        let before = self.rows(cast).await;
        let mut hold = stand.hold(self.cluster.database_url()).await;
        let ask = cast.maker.offer(body);
        let raw = self.raw.clone();
        #[expect(clippy::disallowed_methods, reason = "awaited below")]
        let asking = tokio::spawn(async move { raw.try_ask(ask).await });
        hold.wait(self.cluster.database_url()).await;
        self.kill(victim).await;
        hold.let_go(victim == Victim::Postgres, self.cluster.database_url()).await;
        self.restart(victim).await;
        let heard = asking.await.unwrap().ok().map(|heard| heard.word());
        hold.is_over(self.cluster.database_url()).await;
        let after = self.rows(cast).await;
        Seen { heard, is_untouched: before == after }
    }

    /// All who are to be in the group find themselves in the same epoch, and who is not to be
    /// in it any more is not.
    async fn all_are_equal(&self, cast: &mut Cast) {
        let Cast { maker, stays, goes, comes } = cast;
        for member in [&mut *maker, &mut *stays, &mut *goes] {
            member.catch_up(&self.raw).await;
        }
        assert!(comes.join(&self.raw).await, "the Welcome is there with the epoch");
        assert!(!goes.is_in(), "who was removed has read it");
        let text = comes.write("I am in");
        let said = comes.of_group(Method::POST, "messages").json(&text);
        assert_eq!(self.raw.answer(said).await.word(), "200");
        for member in [&mut *maker, &mut *stays, &mut *comes] {
            member.catch_up(&self.raw).await;
            assert_eq!(member.shown.last().unwrap().1, "I am in");
        }
        assert_eq!(maker.standing(), stays.standing());
        assert_eq!(maker.standing(), comes.standing());
    }
}

/// What was seen of a commit that was interrupted.
struct Seen {
    /// What its maker was told, if anything.
    heard: Option<String>,
    /// Each row of the group is as it was.
    is_untouched: bool,
}

/// I-2, I-4. A commit that adds somebody and removes somebody stands still before each table
/// that its transaction writes, in turn, while the groups replica, Postgres, or the others are
/// killed with SIGKILL. Nothing of it stands in any table then, and nobody has a Welcome; the
/// same bytes again are taken as if they were new; all members end in the same epoch. Once
/// more, they are told that the epoch is taken: by this very commit.
///
/// Where only the gateway and messages die, the commit never notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_cut_off_has_changed_nothing_and_passes_when_it_comes_again() {
    let mut scene = Scene::set().await;
    for stand in Stand::BEFORE_COMMIT {
        for victim in VICTIMS {
            let mut cast = scene.cast().await;
            let body = exchange(&mut cast);

            let seen = scene.die_at(stand, victim, &body, &cast).await;

            let case = format!("{stand:?}, {victim:?}");
            let passes = victim == Victim::GatewayAndMessages;
            assert_eq!(seen.heard.as_deref() == Some("200"), passes, "{case}: {:?}", seen.heard);
            assert_eq!(seen.is_untouched, !passes, "{case}");
            if !passes {
                assert!(!cast.comes.join(&scene.raw).await, "{case}: no Welcome");
                let heard = scene.raw.answer(cast.maker.offer(&body)).await;
                assert_eq!(heard.word(), "200", "{case}: it comes again");
            }
            is_told_of_its_own_commit(&scene, &cast, &body).await;
            scene.all_are_equal(&mut cast).await;
        }
    }
    scene.cluster.stop().await.unwrap();
}

/// I-2, I-4, at their narrowest: the commit is durable, and nobody has been told. Its maker
/// asks again, and finds its own commit in the refusal; the members find it in the log; the
/// one who was added finds the Welcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_durable_and_not_answered_is_found_by_everybody() {
    let mut scene = Scene::set().await;
    for victim in VICTIMS {
        let mut cast = scene.cast().await;
        let body = exchange(&mut cast);

        let seen = scene.die_at(Stand::BeforeAnswer, victim, &body, &cast).await;

        let is_answered = seen.heard.as_deref() == Some("200");
        assert_eq!(is_answered, victim == Victim::GatewayAndMessages, "{:?}", seen.heard);
        assert!(!seen.is_untouched, "{victim:?}: it was durable");
        is_told_of_its_own_commit(&scene, &cast, &body).await;
        scene.all_are_equal(&mut cast).await;
    }
    scene.cluster.stop().await.unwrap();
}

/// A commit by which one comes and one goes, so that it touches every table.
fn exchange(cast: &mut Cast) -> Value {
    let (package, leaf) = (cast.comes.key_package(false), cast.goes.leaf);
    cast.maker.commit(&Change::Exchange(&[package], &[leaf]))
}

async fn is_told_of_its_own_commit(scene: &Scene, cast: &Cast, body: &Value) {
    let heard = scene.raw.answer(cast.maker.offer(body)).await;
    assert_eq!(heard.word(), "409 epoch_taken");
    let own: Base64Bytes = serde_json::from_value(body["commit"].clone()).unwrap();
    let entries = entries_of(&heard);
    let commits = entries.iter().filter(|entry| entry.kind() == GroupEntryKind::Commit);
    let commits: Vec<_> = commits.map(|entry| entry.message.clone()).collect();
    assert_eq!(commits, [Bytes::from(own.0)], "it was the one that was taken");
}
