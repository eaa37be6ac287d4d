//! What is asked about groups. In each cell there is a new group of the owner's.

use prost::bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::{
    PATIENCE,
    raw::{Ask, Change, Member, new_group},
};
use sotto_ids::{Base64Bytes, GroupId};
use sotto_mls::Policy;
use sotto_proto::socket::{GroupAck, GroupCursor, GroupSend, client_frame::Body};
use sotto_testkit::wait_for;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    acts::Act,
    scene::{Scene, Who, is_refusal},
    table::{FIRST, MISSING, OFF, REVOKED, Row, row},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupAct {
    PublishPackages,
    ClaimPackages,
    ExternalSender,
    Create,
    List,
    Commit,
    CommitFromOutside,
    Propose,
    Reset,
    Reseal,
    Send,
    Log,
    Info,
    Tree,
    Cursors,
    Acknowledge,
    Welcomes,
    ForgetWelcome,
    SendFrame,
    AckFrame,
}

/// A group with the owner, who made it, and Carol: both are admins. The user, Bob, is in a
/// group of his own; and was in this one, where a row says so.
pub(super) struct Group {
    pub(super) owner: Member,
    group: GroupId,
    /// What the owner has made to be sent, by whoever the caller is.
    made: Value,
}

impl Scene<'_> {
    pub(super) async fn prepare_group(&mut self, act: GroupAct, was_in: bool) {
        let raw = &self.raw;
        let mut owner = Member::of(&self.alice, 1);
        let group = owner.create(raw).await;
        let mut others = vec![Member::of(&self.carol, 1)];
        if was_in {
            others.push(Member::of(&self.bob, 1));
        }
        owner.bring_in(&mut others, raw).await;
        let policy = Policy {
            metadata_version: 1,
            metadata_hash: None,
            admins: [self.alice.account.id, self.carol.account.id].into(),
            members_may_add: false,
        };
        owner.change(&Change::Policy(&policy), raw).await;
        if was_in {
            owner.change(&Change::Remove(&[others[1].leaf]), raw).await;
        }
        let carol = &mut others[0];
        carol.catch_up(raw).await;
        let made = match act {
            GroupAct::PublishPackages => json!({ "one_time": [b64(owner.key_package(false))] }),
            GroupAct::ClaimPackages => {
                owner.publish(1, raw).await;
                json!({ "accounts": [self.alice.account.id] })
            }
            GroupAct::Create => {
                let mut maker = Member::of(&self.alice, 1);
                maker.begin(new_group(), 0, &owner.external_sender(raw).await)
            }
            GroupAct::Commit => owner.commit(&Change::Update),
            GroupAct::Propose => owner.leave(),
            GroupAct::Reseal => {
                // Carol comes in from outside, and does not know what the group is called.
                let commit = carol.prepare_rejoin(group, raw).await;
                assert_eq!(raw.ask(carol.offer(&commit)).await.word(), "200");
                owner.catch_up(raw).await;
                let (epoch, _) = owner.standing();
                let sealed = b64(b"sealed anew".to_vec());
                json!({ "generation": 0, "epoch": epoch, "sealed_metadata": sealed })
            }
            GroupAct::Send | GroupAct::SendFrame => owner.write("from the owner"),
            GroupAct::ForgetWelcome => {
                self.leave_welcome(group).await;
                Value::Null
            }
            _ => Value::Null,
        };
        self.group = Some(Group { owner, group, made });
    }

    /// Acts, and says in a line what came of it.
    pub(super) async fn act_in_group(&self, act: GroupAct, who: Who) -> String {
        let Group { owner, group, made } = self.group.as_ref().unwrap();
        let ask = |method, path: &str| {
            Ask::new(method, format!("/v1/groups{path}")).token(self.token(who))
        };
        let of_group = |method, path: &str| ask(method, &format!("/{group}/{path}"));
        let said = async |ask: Ask| self.raw.ask(ask).await.word();
        match act {
            GroupAct::PublishPackages => {
                let ask = Ask::new(Method::PUT, "/v1/keys/packages").token(self.token(who));
                said(ask.json(made)).await
            }
            GroupAct::ClaimPackages => {
                let ask = Ask::new(Method::POST, "/v1/key-packages").token(self.token(who));
                said(ask.json(made)).await
            }
            GroupAct::ExternalSender => said(ask(Method::GET, "/external-sender")).await,
            GroupAct::Create => said(ask(Method::POST, "").json(made)).await,
            GroupAct::List => {
                let heard = self.raw.ask(ask(Method::GET, "")).await;
                let groups = heard.body["groups"].as_array().into_iter().flatten();
                let has_owners =
                    groups.into_iter().any(|one| one["group"] == json!(group.to_string()));
                let word = heard.word();
                if has_owners { format!("{word}, the owner's group") } else { word }
            }
            GroupAct::Commit => said(of_group(Method::POST, "commits").json(made)).await,
            GroupAct::CommitFromOutside => {
                let commit = self.come_from_outside(who).await;
                said(of_group(Method::POST, "commits").json(&commit)).await
            }
            GroupAct::Propose => said(of_group(Method::POST, "proposals").json(made)).await,
            GroupAct::Reset => {
                let sender = owner.external_sender(&self.raw).await;
                let mut caller = Member::of(self.party(who), who.device());
                let mut begins = caller.begin(*group, 1, &sender);
                begins["generation"] = json!(0);
                said(of_group(Method::POST, "reset").json(&begins)).await
            }
            GroupAct::Reseal => said(of_group(Method::PUT, "metadata").json(made)).await,
            GroupAct::Send => said(of_group(Method::POST, "messages").json(made)).await,
            GroupAct::Log => said(of_group(Method::GET, "log")).await,
            GroupAct::Info => said(of_group(Method::GET, "info")).await,
            GroupAct::Tree => {
                let (epoch, _) = owner.standing();
                said(of_group(Method::GET, &format!("tree?generation=0&epoch={epoch}"))).await
            }
            GroupAct::Cursors => said(of_group(Method::GET, "cursors")).await,
            GroupAct::Acknowledge => {
                let cursors = json!({ "cursors": [{ "group": group.to_string(), "seq": 3 }] });
                let word = said(ask(Method::PUT, "/cursors").json(&cursors)).await;
                self.and_acknowledged(word).await
            }
            GroupAct::Welcomes => {
                let heard = self.raw.ask(ask(Method::GET, "/welcomes")).await;
                heard.word()
            }
            GroupAct::ForgetWelcome => {
                let word = said(of_group(Method::DELETE, "welcome?generation=0&epoch=1")).await;
                if self.has_welcome(*group).await {
                    word
                } else {
                    format!("{word}, and it is gone")
                }
            }
            GroupAct::SendFrame => {
                let id: Uuid = made["client_msg_id"].as_str().unwrap().parse().unwrap();
                let message: Base64Bytes = serde_json::from_value(made["message"].clone()).unwrap();
                let send = GroupSend {
                    group: Bytes::copy_from_slice(group.as_bytes()),
                    generation: 0,
                    epoch: made["epoch"].as_u64().unwrap(),
                    client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
                    message: message.0.into(),
                };
                self.say(who, Body::GroupSend(send)).await
            }
            GroupAct::AckFrame => {
                let group = Bytes::copy_from_slice(group.as_bytes());
                let cursors = vec![GroupCursor { group, seq: 3 }];
                let word = self.say(who, Body::GroupAck(GroupAck { cursors })).await;
                self.and_acknowledged(word).await
            }
        }
    }

    /// An external commit into the owner's group by which the caller's device comes in, made
    /// of what the owner knows of it.
    async fn come_from_outside(&self, who: Who) -> Value {
        let Group { group, .. } = self.group.as_ref().unwrap();
        let mut caller = Member::of(self.party(who), who.device());
        caller.borrow_token(self.alice.token(1));
        caller.prepare_rejoin(*group, &self.raw).await
    }

    /// Whether the owner's cursor has moved to where the caller said. The owner says something
    /// less after that, so that what was before is worked through.
    async fn and_acknowledged(&self, word: String) -> String {
        if is_refusal(&word) {
            return word;
        }
        let Group { owner, group, .. } = self.group.as_ref().unwrap();
        let cursors = json!({ "cursors": [{ "group": group.to_string(), "seq": 2 }] });
        let ask = owner.ask(Method::PUT, "/cursors").json(&cursors);
        assert_eq!(self.raw.ask(ask).await.word(), "204");
        let cursor = wait_for(PATIENCE, "the acknowledgement", async || {
            let mut db = PgConnection::connect(self.database()).await.unwrap();
            let query = "SELECT cursor FROM groups.members WHERE group_id = $1 AND account = $2 \
                         AND device = 1";
            let cursor: i64 = sqlx::query_scalar(query)
                .bind(group.as_uuid())
                .bind(Uuid::from_bytes(*self.alice.account.uuid().as_bytes()))
                .fetch_one(&mut db)
                .await
                .unwrap();
            if cursor >= 2 { Ok(cursor) } else { Err(cursor) }
        })
        .await;
        if cursor == 3 { format!("{word}, the owner's cursor") } else { word }
    }

    /// A Welcome that waits for the owner.
    async fn leave_welcome(&self, group: GroupId) {
        let mut db = PgConnection::connect(self.database()).await.unwrap();
        let insert = "INSERT INTO groups.welcomes VALUES ($1, 1, $2, 0, 1, 2, $3, 'welcome')";
        let query = sqlx::query(insert)
            .bind(Uuid::from_bytes(*self.alice.account.uuid().as_bytes()))
            .bind(group.as_uuid())
            .bind(i64::try_from(sotto_e2e::raw::now_ms()).unwrap());
        query.execute(&mut db).await.unwrap();
    }

    async fn has_welcome(&self, group: GroupId) -> bool {
        let mut db = PgConnection::connect(self.database()).await.unwrap();
        let query = "SELECT count(*) FROM groups.welcomes WHERE group_id = $1";
        let query = sqlx::query_scalar(query).bind(group.as_uuid());
        let count: i64 = query.fetch_one(&mut db).await.unwrap();
        count > 0
    }
}

fn b64(bytes: Vec<u8>) -> Base64Bytes {
    Base64Bytes(bytes)
}

const OUT: &str = "403 not_a_member";
const GONE: &str = "403 unknown_sender";
const WAS_IN: &str = "the user was removed from it";

/// A row in which the user was never in the group.
fn at(at: &'static str, what: &'static str, act: GroupAct, expected: [&'static str; 6]) -> Row {
    row(at, what, Act::Group { act, was_in: false }, expected)
}

/// What is of no concern to anybody but those who are in the group.
fn inside(name: &'static str, act: GroupAct, owner: &'static str) -> Row {
    at(name, "the user is in another group", act, [MISSING, OUT, OUT, OUT, OUT, owner])
}

/// The same where the user was in it.
fn was_in(name: &'static str, act: GroupAct, user: &'static str, owner: &'static str) -> Row {
    let act = Act::Group { act, was_in: true };
    row(name, WAS_IN, act, [MISSING, OUT, user, OUT, OUT, owner])
}

/// See [`super::table`].
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row> {
    use GroupAct as Do;

    const COMMITS: &str = "POST /v1/groups/{group}/commits";
    const LOG: &str = "GET /v1/groups/{group}/log";
    const INFO: &str = "GET /v1/groups/{group}/info";
    const TREE: &str = "GET /v1/groups/{group}/tree";
    const MESSAGES: &str = "POST /v1/groups/{group}/messages";
    const PROPOSALS: &str = "POST /v1/groups/{group}/proposals";
    const CURSORS: &str = "GET /v1/groups/{group}/cursors";
    const METADATA: &str = "PUT /v1/groups/{group}/metadata";
    const RESET: &str = "POST /v1/groups/{group}/reset";
    vec![
        // KeyPackages.
        at("PUT /v1/keys/packages", "the owner's", Do::PublishPackages, [
            MISSING, "422 key_package_uncertified", "422 key_package_uncertified",
            "422 key_package_uncertified", REVOKED, "200, the owner's shelf",
        ]),
        at("POST /v1/key-packages", "of the owner's account", Do::ClaimPackages, [
            MISSING, "403 not_interoperable", "200, the owner's shelf",
            "200, the owner's shelf", REVOKED, "200",
        ]),

        // Groups.
        at("GET /v1/groups/external-sender", "", Do::ExternalSender, [
            MISSING, "200", "200", "200", "200", "200",
        ]),
        at("POST /v1/groups", "what the owner has made", Do::Create, [
            MISSING, "403 not_allowed", "403 not_allowed", "403 not_allowed", "403 not_allowed", "201",
        ]),
        at("GET /v1/groups", "", Do::List, [
            MISSING, "200", "200", "200", "200", "200, the owner's group",
        ]),
        inside(COMMITS, Do::Commit, "200"),
        was_in(COMMITS, Do::Commit, OUT, "200"),
        // Another device of an account that is in it comes in by itself; a revoked one is none.
        at(COMMITS, "from outside, by the caller's device", Do::CommitFromOutside, [
            MISSING, "403 not_allowed", "403 not_allowed", "200", "422 leaf_uncertified", "200",
        ]),
        row(COMMITS, "from outside; the user was removed", Act::Group { act: Do::CommitFromOutside, was_in: true }, [
            MISSING, "403 not_allowed", "403 not_allowed", "200", "422 leaf_uncertified", "200",
        ]),
        inside(PROPOSALS, Do::Propose, "200"),
        was_in(PROPOSALS, Do::Propose, OUT, "200"),
        inside(RESET, Do::Reset, "200"),
        was_in(RESET, Do::Reset, OUT, "200"),
        inside(METADATA, Do::Reseal, "200"),
        was_in(METADATA, Do::Reseal, OUT, "200"),
        at(MESSAGES, "the user is in another group", Do::Send, [MISSING, OUT, OUT, OUT, GONE, "200"]),
        row(MESSAGES, WAS_IN, Act::Group { act: Do::Send, was_in: true }, [MISSING, OUT, OUT, OUT, GONE, "200"]),
        inside(LOG, Do::Log, "200"),
        // What was there until it was removed is its own.
        was_in(LOG, Do::Log, "200", "200"),
        at(INFO, "the user is in another group", Do::Info, [MISSING, OUT, OUT, "200", "200", "200"]),
        row(INFO, WAS_IN, Act::Group { act: Do::Info, was_in: true }, [MISSING, OUT, OUT, "200", "200", "200"]),
        at(TREE, "the user is in another group", Do::Tree, [MISSING, OUT, OUT, "200", "200", "200"]),
        row(TREE, WAS_IN, Act::Group { act: Do::Tree, was_in: true }, [MISSING, OUT, OUT, "200", "200", "200"]),
        inside(CURSORS, Do::Cursors, "200"),
        was_in(CURSORS, Do::Cursors, OUT, "200"),
        at("PUT /v1/groups/cursors", "of the owner's group", Do::Acknowledge, [
            MISSING, "204", "204", "204", "204", "204, the owner's cursor",
        ]),
        at("GET /v1/groups/welcomes", "", Do::Welcomes, [
            MISSING, "200", "200", "200", "200", "200",
        ]),
        at("DELETE /v1/groups/{group}/welcome", "the owner's", Do::ForgetWelcome, [
            MISSING, "204", "204", "204", "204", "204, and it is gone",
        ]),

        // The socket.
        at("frame GroupSend", "the user is in another group", Do::SendFrame, [
            FIRST, "not_a_member", "not_a_member", "not_a_member", OFF, "group_accepted",
        ]),
        row("frame GroupSend", WAS_IN, Act::Group { act: Do::SendFrame, was_in: true }, [
            FIRST, "not_a_member", "not_a_member", "not_a_member", OFF, "group_accepted",
        ]),
        at("frame GroupAck", "of the owner's group", Do::AckFrame, [
            FIRST, "no answer", "no answer", "no answer", OFF, "no answer, the owner's cursor",
        ]),
    ]
}
