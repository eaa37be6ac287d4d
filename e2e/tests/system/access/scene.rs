//! The people of the table, and what is prepared before they act.

use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::{
    PATIENCE,
    raw::{Ask, Member, Party, Raw, TOKEN_LIFETIME},
};
use sotto_identity::build;
use sotto_ids::{AccountUuid, DeviceId};
use sotto_testkit::{Cluster, apps::App, wait_for};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{acts::Act, groups::Group};

/// The callers, in the order of the table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Without a token.
    Nobody,
    /// A user of an app that does not let its users meet those of the owner's.
    Tenant,
    /// A user of another app, which does.
    User,
    /// Another device of the owner's account.
    Device,
    /// A device that was one of the owner's account, and has a token that lives on.
    Revoked,
    /// The device whose things these are.
    Owner,
}

impl Who {
    pub(super) const ALL: [Self; 6] =
        [Self::Nobody, Self::Tenant, Self::User, Self::Device, Self::Revoked, Self::Owner];

    /// The number of the device in its account.
    pub(super) const fn device(self) -> u32 {
        match self {
            Self::Device => 2,
            Self::Revoked => 3,
            Self::Nobody | Self::Tenant | Self::User | Self::Owner => 1,
        }
    }
}

/// See the module.
pub(super) struct Scene<'a> {
    pub(super) raw: Raw,
    pub(super) alice: Party,
    pub(super) bob: Party,
    pub(super) mallory: Party,
    /// In groups of the owner's.
    pub(super) carol: Party,
    pub(super) lonely: App,
    /// Of a socket that the revoked device had before.
    pub(super) lost_ticket: Vec<u8>,
    pub(super) link: String,
    /// Ids that nobody has published keys under yet.
    pub(super) key_id: u32,
    /// The envelope that waits for the owner, and the one of the caller.
    pub(super) envelope: Option<Uuid>,
    pub(super) own_envelope: Option<Uuid>,
    /// The owner's send that is to be retracted.
    pub(super) sent: String,
    pub(super) group: Option<Group>,
    cluster: &'a Cluster,
}

impl<'a> Scene<'a> {
    pub(super) async fn set(cluster: &'a Cluster, lonely: App) -> Self {
        let raw = Raw::of(cluster);
        let alice = cluster.app_token("socialink", "alice");
        let mut alice = Party::register("alice", 3, 3, alice, &raw).await;
        let bob = cluster.app_token("vignette", "bob");
        let bob = Party::register("bob", 2, 2, bob, &raw).await;
        let mallory = lonely.token("mallory", cluster.domain(), TOKEN_LIFETIME);
        let mallory = Party::register("mallory", 2, 2, mallory, &raw).await;

        let carol = cluster.app_token("vignette", "carol");
        let carol = Party::register("carol", 1, 0, carol, &raw).await;
        Member::of(&bob, 1).create(&raw).await;

        let mut socket = raw.open(Some(alice.token(3))).await;
        assert_eq!(socket.served().await, "served");
        let third = DeviceId::try_from(3_u32).unwrap();
        alice.append(build::revoke_device(third), &raw).await;
        assert_eq!(socket.served().await, "4502 device_revoked");

        let scene = Self {
            lost_ticket: socket.ticket.clone(),
            raw,
            alice,
            bob,
            mallory,
            carol,
            lonely,
            link: String::new(),
            key_id: 1_000,
            envelope: None,
            own_envelope: None,
            sent: String::new(),
            group: None,
            cluster,
        };
        // The replica hears of the revocation a moment later: until then a send that
        // leaves the device out is a mismatch.
        wait_for(PATIENCE, "the replica to know the devices", async || {
            let letter = scene.alice.letter(&[1, 2]);
            let heard = scene.send(Who::User, &letter).await;
            if heard == "200" { Ok(()) } else { Err(heard) }
        })
        .await;
        scene.forget_envelopes().await;
        scene
    }

    /// Whose device it is.
    pub(super) const fn party(&self, who: Who) -> &Party {
        match who {
            Who::Tenant => &self.mallory,
            Who::User => &self.bob,
            Who::Nobody | Who::Device | Who::Revoked | Who::Owner => &self.alice,
        }
    }

    pub(super) fn token(&self, who: Who) -> Option<&str> {
        (who != Who::Nobody).then(|| self.party(who).token(who.device()))
    }

    /// Makes what the act is about.
    pub(super) async fn prepare(&mut self, act: Act, who: Who) {
        self.key_id += 10;
        match act {
            Act::Group { act, was_in } => Box::pin(self.prepare_group(act, was_in)).await,
            Act::LeaveInLink | Act::ReadLink => {
                self.link = self.raw.open_link().await;
                if act == Act::ReadLink {
                    let path = format!("/v1/link/{}/request", self.link);
                    let ask =
                        Ask::new(Method::PUT, path).bytes("application/octet-stream", "sealed");
                    assert_eq!(self.raw.ask(ask).await.word(), "204");
                }
            }
            Act::Poll | Act::Acknowledge | Act::AckFrame => {
                self.forget_envelopes().await;
                self.envelope = self.feed(Who::Owner).await;
                self.own_envelope = match who {
                    Who::Tenant | Who::User | Who::Device => self.feed(who).await,
                    Who::Nobody | Who::Revoked | Who::Owner => None,
                };
            }
            Act::Retract | Act::RetractFrame => {
                self.forget_envelopes().await;
                let letter = self.bob.letter(&[1, 2]);
                letter["client_msg_id"].as_str().unwrap().clone_into(&mut self.sent);
                let bob = self.bob.account.uuid();
                assert_eq!(self.send_to(bob, Who::Owner, &letter).await, "200");
                self.envelope = self.waiting(bob, 1).await;
                assert!(self.envelope.is_some());
            }
            _ => {}
        }
    }

    /// Has another device of the same account send something to the device, and gives
    /// the id of what waits.
    async fn feed(&self, who: Who) -> Option<Uuid> {
        let party = self.party(who);
        let other = 3 - who.device();
        let letter = party.letter(&[who.device()]);
        let ask = Ask::new(Method::PUT, format!("/v1/messages/{}", party.account.uuid()));
        let heard = self.raw.ask(ask.token(Some(party.token(other))).json(&letter)).await;
        assert_eq!(heard.word(), "200", "{:?}", heard.body);
        let found = self.waiting(party.account.uuid(), who.device()).await;
        assert!(found.is_some());
        found
    }

    /// The newest envelope that waits for a device.
    pub(super) async fn waiting(&self, account: AccountUuid, device: u32) -> Option<Uuid> {
        let query = "SELECT id FROM messages.queue WHERE account = $1 AND device = $2 \
                     ORDER BY id DESC LIMIT 1";
        sqlx::query_scalar(query)
            .bind(Uuid::from_bytes(*account.as_bytes()))
            .bind(i16::try_from(device).unwrap())
            .fetch_optional(&mut self.db().await)
            .await
            .unwrap()
    }

    /// Whether an envelope still waits.
    pub(super) async fn is_waiting(&self, id: Option<Uuid>) -> bool {
        let query = "SELECT count(*) FROM messages.queue WHERE id = $1";
        let count: i64 =
            sqlx::query_scalar(query).bind(id).fetch_one(&mut self.db().await).await.unwrap();
        count > 0
    }

    /// Waits until what the caller has acknowledged beside the owner's envelope is gone,
    /// since nothing else says that an acknowledgement was worked through.
    pub(super) async fn acknowledged(&self, who: Who) {
        let gone = if who == Who::Owner { self.envelope } else { self.own_envelope };
        if gone.is_some() {
            wait_for(PATIENCE, "the acknowledgement", async || {
                if self.is_waiting(gone).await { Err("it waits") } else { Ok(()) }
            })
            .await;
        }
    }

    /// What is not refused, and made the owner's thing go away.
    pub(super) async fn and_gone(&self, word: String) -> String {
        if self.is_waiting(self.envelope).await { word } else { format!("{word}, and it is gone") }
    }

    pub(super) async fn send(&self, who: Who, letter: &Value) -> String {
        self.send_to(self.alice.account.uuid(), who, letter).await
    }

    async fn send_to(&self, to: AccountUuid, who: Who, letter: &Value) -> String {
        let ask = Ask::new(Method::PUT, format!("/v1/messages/{to}")).token(self.token(who));
        self.raw.ask(ask.json(letter)).await.word()
    }

    async fn forget_envelopes(&self) {
        sqlx::query("DELETE FROM messages.queue").execute(&mut self.db().await).await.unwrap();
    }

    async fn db(&self) -> PgConnection {
        PgConnection::connect(self.database()).await.unwrap()
    }

    pub(super) fn database(&self) -> &str {
        self.cluster.database_url()
    }

    /// The rows of the owner's shelf of prekeys and of KeyPackages.
    pub(super) fn shelf<'r>(&self, rows: &'r [String]) -> Vec<&'r String> {
        let owner = format!("({},1,", self.alice.account.uuid());
        let is_shelf = |row: &&String| {
            row.contains(&owner)
                && ["prekeys ", "key_packages "].iter().any(|kind| row.contains(kind))
        };
        rows.iter().filter(is_shelf).collect()
    }

    pub(super) fn own_app_token(&self, who: Who) -> String {
        match who {
            Who::Nobody => String::new(),
            who => self.party(who).app_token.clone(),
        }
    }
}

/// Whether a word is a refusal.
pub(super) fn is_refusal(word: &str) -> bool {
    let granted =
        ["2", "served", "accepted", "group_accepted", "authenticated", "retracted", "no answer"];
    !granted.iter().any(|start| word.starts_with(start))
}

/// The body of a challenge, of a mailbox and the like.
pub(super) fn nothing() -> Value {
    json!({})
}
