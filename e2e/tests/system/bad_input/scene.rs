use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::{
    PATIENCE,
    raw::{Ask, Party, Raw, TOKEN_LIFETIME},
};
use sotto_ids::{AccountUuid, Base64Bytes};
use sotto_load::light::Account;
use sotto_proto::socket::{Resume, client_frame::Body};
use sotto_testkit::{Cluster, apps::App, wait_for};
use sqlx::{Connection as _, PgConnection};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::groups::Group;

/// Sends of this size fill the queue of this deployment with a few.
const LARGE: usize = 60_000;

/// On which socket something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// As the first thing, on one without a token.
    First,
    /// On one that serves Bob.
    Served,
}

/// What is said on a socket.
pub(super) enum Input {
    Frame(Body),
    Raw(Message),
}

/// The people whom wrong input is about. What is in a wrong state is here before any of it
/// is tried.
pub(super) struct Scene {
    pub(super) raw: Raw,
    /// Two devices that are ready, and one that has published nothing.
    pub(super) alice: Party,
    /// Who says most of it.
    pub(super) bob: Party,
    /// A user of an app whose users meet nobody else's.
    pub(super) mallory: Party,
    /// Whose queue is full.
    pub(super) frank: Party,
    /// An account that nobody has registered.
    pub(super) stranger: Account,
    /// A token of an app for somebody who has no account.
    pub(super) newcomer: String,
    /// A login that has succeeded once.
    pub(super) spent_login: Value,
    /// A ticket that was shown once.
    pub(super) spent_ticket: Vec<u8>,
    /// A mailbox whose first slot has a message.
    pub(super) link: String,
    /// What waits for Alice.
    pub(super) envelope: Uuid,
    /// A send of Alice's that waits for Bob.
    pub(super) sent: String,
    pub(super) group: Group,
    database: String,
}

impl Scene {
    pub(super) async fn set(cluster: &Cluster, lonely: &App) -> Self {
        let raw = Raw::of(cluster);
        let token = |app, user| cluster.app_token(app, user);
        let alice = Party::register("alice", 3, 2, token("socialink", "alice"), &raw).await;
        let bob = Party::register("bob", 1, 1, token("vignette", "bob"), &raw).await;
        let frank = Party::register("frank", 1, 1, token("vignette", "frank"), &raw).await;
        let mallory = lonely.token("mallory", cluster.domain(), TOKEN_LIFETIME);
        let mallory = Party::register("mallory", 1, 1, mallory, &raw).await;
        let stranger = Account::generate(1, raw.domain(), 0, &mut StdRng::from_os_rng()).unwrap();

        let challenge = raw.challenge().await;
        let first = sotto_ids::DeviceId::FIRST;
        let (id, app_token) = (alice.account.id, &alice.app_token);
        let spent_login = alice.keys(1).login(id, first, &challenge, app_token, raw.domain());
        let login = Ask::new(Method::POST, "/v1/auth/token").json(&spent_login);
        assert_eq!(raw.ask(login).await.word(), "200");

        let mut socket = raw.open(Some(bob.token(1))).await;
        assert_eq!(socket.served().await, "served");
        let spent_ticket = socket.ticket.clone();
        let resume = Body::Resume(Resume { ticket: spent_ticket.clone().into() });
        assert_eq!(raw.open(None).await.enter(resume).await, "served");

        let link = raw.open_link().await;
        assert_eq!(raw.ask(leave(&link)).await.word(), "204");

        let group = Group::make(&alice, &bob, &mallory, &raw).await;
        let mut scene = Self {
            raw,
            alice,
            bob,
            mallory,
            frank,
            stranger,
            newcomer: token("socialink", "newcomer"),
            spent_login,
            spent_ticket,
            link,
            envelope: Uuid::nil(),
            sent: String::new(),
            group,
            database: cluster.database_url().to_owned(),
        };
        scene.fill_frank().await;
        let letter = scene.bob.letter(&[1]);
        letter["client_msg_id"].as_str().unwrap().clone_into(&mut scene.sent);
        scene.send(&scene.alice, &scene.bob, &letter).await;
        scene.send(&scene.bob, &scene.alice, &scene.alice.letter(&[1, 2])).await;
        scene.envelope = scene.newest(scene.alice.account.uuid()).await.unwrap();
        scene
    }

    /// Says something on a socket, and gives in a line what came of it.
    pub(super) async fn say(&self, when: When, input: Input) -> String {
        let token = (when == When::Served).then(|| self.bob.token(1));
        let mut socket = self.raw.open(token).await;
        if when == When::Served {
            assert_eq!(socket.served().await, "served");
        }
        match input {
            Input::Frame(body) => socket.say(body).await,
            Input::Raw(message) => socket.tell(message).await,
        }
    }

    /// Sends Bob something and has him acknowledge it: what he acknowledged before that is
    /// worked through by then.
    pub(super) async fn send_and_acknowledge_one_more(&self) {
        self.send(&self.alice, &self.bob, &self.bob.letter(&[1])).await;
        let bob = self.bob.account.uuid();
        let newest = self.newest(bob).await;
        let body = json!({ "envelope_ids": [newest] });
        let ask = Ask::new(Method::POST, "/v1/messages/ack").token(Some(self.bob.token(1)));
        assert_eq!(self.raw.ask(ask.json(&body)).await.word(), "204");
        wait_for(PATIENCE, "the acknowledgement", async || {
            if self.newest(bob).await == newest { Err("it waits") } else { Ok(()) }
        })
        .await;
    }

    /// Whether the mailbox has the message that was left in it, and no other. The same
    /// message again is no second one.
    pub(super) async fn is_link_as_before(&self) -> bool {
        let first = self.raw.ask(leave(&self.link)).await.word();
        let second = Ask::new(Method::GET, format!("/v1/link/{}/answer", self.link));
        (first, self.raw.ask(second).await.word()) == ("204".to_owned(), "204".to_owned())
    }

    async fn fill_frank(&self) {
        wait_for(PATIENCE, "a full queue", async || {
            let mut letter = self.frank.letter(&[1]);
            letter["messages"][0]["ciphertext"] = json!(Base64Bytes(vec![7; LARGE]));
            let heard = self.try_send(&self.bob, &self.frank, &letter).await;
            if heard == "429 queue_full" { Ok(()) } else { Err(heard) }
        })
        .await;
    }

    async fn send(&self, from: &Party, to: &Party, letter: &Value) {
        assert_eq!(self.try_send(from, to, letter).await, "200");
    }

    async fn try_send(&self, from: &Party, to: &Party, letter: &Value) -> String {
        let ask = Ask::new(Method::PUT, format!("/v1/messages/{}", to.account.uuid()));
        self.raw.ask(ask.token(Some(from.token(1))).json(letter)).await.word()
    }

    /// The newest envelope that waits for the first device of an account.
    async fn newest(&self, account: AccountUuid) -> Option<Uuid> {
        let mut db = PgConnection::connect(&self.database).await.unwrap();
        let query = "SELECT id FROM messages.queue WHERE account = $1 AND device = 1 \
                     ORDER BY id DESC LIMIT 1";
        let query = sqlx::query_scalar(query).bind(Uuid::from_bytes(*account.as_bytes()));
        query.fetch_optional(&mut db).await.unwrap()
    }
}

/// Leaves a message in the first slot.
fn leave(link: &str) -> Ask {
    let ask = Ask::new(Method::PUT, format!("/v1/link/{link}/request"));
    ask.bytes("application/octet-stream", "sealed")
}
