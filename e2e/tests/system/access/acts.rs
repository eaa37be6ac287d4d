//! What is asked of each endpoint and of the socket.

use prost::bytes::Bytes;
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::raw::{Ask, Party, TOKEN_LIFETIME};
use sotto_identity::{Body as Op, Endpoint, EndpointKind, build};
use sotto_ids::DeviceId;
use sotto_load::light::{Account, one_time_ec, op_body};
use sotto_proto::socket::{Ack, Authenticate, Resume, Retract, client_frame::Body};
use uuid::Uuid;

use super::{
    groups::GroupAct,
    scene::{Scene, Who, nothing},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Register,
    RegistrationChallenge,
    Append,
    AppendByRecovery,
    AppendByOtherRecovery,
    ReadChain,
    ReadHead,
    Bundles,
    FindHandle,
    Challenge,
    LoginAsOwner,
    LoginAsOneself,
    LoginWithOwnersKeys,
    LoginByOtherApp,
    OpenLink,
    LeaveInLink,
    ReadLink,
    LeaveInUnknownLink,
    ReadUnknownLink,
    PublishSigned,
    PublishOneTime,
    PublishKyber,
    Count,
    Digest,
    ChatIdentity,
    Webfinger,
    NodeinfoLinks,
    Nodeinfo,
    Send,
    Poll,
    Acknowledge,
    Retract,
    Connect,
    Authenticate,
    AuthenticateAsOwner,
    Resume,
    ResumeAsOwner,
    SendFrame,
    RetractFrame,
    AckFrame,
    /// In a group of the owner's, in which the user was, or was never.
    Group {
        act: GroupAct,
        was_in: bool,
    },
}

impl Scene<'_> {
    /// Acts, and says in a line what came of it.
    pub(super) async fn act(&mut self, act: Act, who: Who) -> String {
        let id = self.alice.account.id;
        let unknown_link = "A".repeat(32);
        match act {
            Act::Group { act, .. } => self.act_in_group(act, who).await,
            Act::Register => {
                let body = self.alice.account.registration(&self.own_app_token(who));
                self.post("/v1/accounts", who, &body).await
            }
            Act::RegistrationChallenge => {
                self.post("/v1/accounts/challenge", who, &nothing()).await
            }
            Act::Append => {
                let url = format!("https://{who:?}.example").to_lowercase();
                let kind = EndpointKind::Relay;
                self.append(build::add_endpoint(&Endpoint { kind, url }), who).await
            }
            Act::AppendByRecovery => {
                let same = self.alice.account.state().recovery.clone();
                self.append(build::set_recovery(&same), who).await
            }
            Act::AppendByOtherRecovery => self.append_by_other_recovery(who).await,
            Act::ReadChain => self.get(&format!("/v1/accounts/{id}/ops?from=0"), who).await,
            Act::ReadHead => self.get(&format!("/v1/accounts/{id}/head"), who).await,
            Act::Bundles => self.post(&format!("/v1/accounts/{id}/bundles"), who, &nothing()).await,
            Act::FindHandle => self.get("/v1/u/alice", who).await,
            Act::Challenge => self.post("/v1/auth/challenge", who, &nothing()).await,
            Act::LoginAsOwner => {
                let app_token = self.own_app_token(who);
                self.login(self.party(who), who.device(), 1, &app_token).await
            }
            Act::LoginAsOneself => self.login_as_oneself(who).await,
            Act::LoginWithOwnersKeys => {
                self.login(&self.alice, 1, 1, &self.own_app_token(who)).await
            }
            Act::LoginByOtherApp => {
                let app = self.lonely.posing_as("socialink");
                let app_token = app.token("alice", self.raw.domain(), TOKEN_LIFETIME);
                self.login(self.party(who), who.device(), 1, &app_token).await
            }
            Act::OpenLink => self.post("/v1/link", who, &nothing()).await,
            Act::LeaveInLink => self.leave(&self.link, who).await,
            Act::LeaveInUnknownLink => self.leave(&unknown_link, who).await,
            Act::ReadLink => self.get(&format!("/v1/link/{}/request", self.link), who).await,
            Act::ReadUnknownLink => {
                self.get(&format!("/v1/link/{unknown_link}/request"), who).await
            }
            Act::PublishSigned | Act::PublishOneTime | Act::PublishKyber => {
                self.publish(act, who).await
            }
            Act::Count => self.get("/v1/keys/count", who).await,
            Act::Digest => self.digest(who).await,
            Act::ChatIdentity => {
                let domain = self.raw.domain();
                self.get(&format!("/.well-known/chat-identity?handle=alice@{domain}"), who).await
            }
            Act::Webfinger => {
                let domain = self.raw.domain();
                let path = format!("/.well-known/webfinger?resource=acct:alice@{domain}");
                self.get(&path, who).await
            }
            Act::NodeinfoLinks => self.get("/.well-known/nodeinfo", who).await,
            Act::Nodeinfo => self.get("/nodeinfo/2.1", who).await,
            Act::Send => self.send(who, &self.letter(who)).await,
            Act::Poll => self.poll(who).await,
            Act::Acknowledge => {
                let ids: Vec<_> = self.envelope.into_iter().chain(self.own_envelope).collect();
                let word =
                    self.post("/v1/messages/ack", who, &json!({ "envelope_ids": ids })).await;
                self.acknowledged(who).await;
                self.and_gone(word).await
            }
            Act::Retract => {
                let path = format!("/v1/messages/{}/{}", self.bob.account.uuid(), self.sent);
                let ask = Ask::new(Method::DELETE, format!("{path}?device_ids=1,2"));
                let word = self.raw.ask(ask.token(self.token(who))).await.word();
                self.and_gone(word).await
            }
            Act::Connect => self.raw.open(self.token(who)).await.served().await,
            Act::Authenticate => {
                let token = self.token(who).unwrap_or("no.token").to_owned();
                let token = Body::Authenticate(Authenticate { token });
                self.raw.open(None).await.enter(token).await
            }
            Act::AuthenticateAsOwner => self.authenticate_as_owner(who).await,
            Act::Resume => {
                let ticket = self.own_ticket(who).await.into();
                self.raw.open(None).await.enter(Body::Resume(Resume { ticket })).await
            }
            Act::ResumeAsOwner => self.resume_as_owner(who).await,
            Act::SendFrame => {
                let send = self.alice.send(Self::addressed(who));
                self.say(who, Body::Send(send)).await
            }
            Act::RetractFrame => {
                let sent: Uuid = self.sent.parse().unwrap();
                let retract = Retract {
                    client_msg_id: Bytes::copy_from_slice(sent.as_bytes()),
                    recipient: Bytes::copy_from_slice(self.bob.account.uuid().as_bytes()),
                    device_ids: vec![1, 2],
                };
                let word = self.say(who, Body::Retract(retract)).await;
                self.and_gone(word).await
            }
            Act::AckFrame => {
                let ids = self.envelope.into_iter().chain(self.own_envelope);
                let envelope_ids = ids.map(|id| Bytes::copy_from_slice(id.as_bytes())).collect();
                let word = self.say(who, Body::Ack(Ack { envelope_ids })).await;
                self.acknowledged(who).await;
                self.and_gone(word).await
            }
        }
    }

    async fn get(&self, path: &str, who: Who) -> String {
        self.raw.ask(Ask::new(Method::GET, path).token(self.token(who))).await.word()
    }

    async fn post(&self, path: &str, who: Who, body: &Value) -> String {
        self.raw.ask(Ask::new(Method::POST, path).token(self.token(who)).json(body)).await.word()
    }

    /// Appends to the owner's chain an op that is right in every way but, perhaps, in who
    /// brings it.
    async fn append(&mut self, body: Op, who: Who) -> String {
        let account = &self.alice.account;
        let op = account.next(body, 0);
        let path = format!("/v1/accounts/{}/ops", account.id);
        let word = self.post(&path, who, &json!({ "ops": [op_body(&op)] })).await;
        if word == "200" {
            self.alice.account.follow(op).unwrap();
        }
        word
    }

    /// A recovery set of somebody else's, signed by the recovery key of somebody else.
    async fn append_by_other_recovery(&self, who: Who) -> String {
        let mut rng = StdRng::from_os_rng();
        let theirs = Account::generate(1, self.raw.domain(), 0, &mut rng).unwrap();
        let body = build::set_recovery(&theirs.state().recovery);
        let op = theirs.sign(&self.alice.account.state().next_op(body, 0));
        let path = format!("/v1/accounts/{}/ops", self.alice.account.id);
        self.post(&path, who, &json!({ "ops": [op_body(&op)] })).await
    }

    /// Logs in as a device of the owner's account, with the keys of a device of `by`.
    async fn login(&self, by: &Party, key: u32, device: u32, app_token: &str) -> String {
        let challenge = self.raw.challenge().await;
        let device = DeviceId::try_from(device).unwrap();
        let id = self.alice.account.id;
        let body = by.keys(key).login(id, device, &challenge, app_token, self.raw.domain());
        self.raw.ask(Ask::new(Method::POST, "/v1/auth/token").json(&body)).await.word()
    }

    async fn login_as_oneself(&self, who: Who) -> String {
        let party = self.party(who);
        let challenge = self.raw.challenge().await;
        let device = DeviceId::try_from(who.device()).unwrap();
        let (id, app_token) = (party.account.id, self.own_app_token(who));
        let keys = party.keys(who.device());
        let body = keys.login(id, device, &challenge, &app_token, self.raw.domain());
        self.raw.ask(Ask::new(Method::POST, "/v1/auth/token").json(&body)).await.word()
    }

    async fn leave(&self, link: &str, who: Who) -> String {
        let ask = Ask::new(Method::PUT, format!("/v1/link/{link}/request"));
        let ask = ask.bytes("application/octet-stream", "sealed").token(self.token(who));
        self.raw.ask(ask).await.word()
    }

    /// Prekeys of the owner, under ids that were never used.
    async fn publish(&self, act: Act, who: Who) -> String {
        let (owner, mut rng) = (self.alice.keys(1), StdRng::from_os_rng());
        let (kind, body) = match act {
            Act::PublishSigned => ("signed", owner.signed_ec(self.key_id, &mut rng).unwrap()),
            Act::PublishOneTime => {
                ("one-time", json!({ "keys": [one_time_ec(self.key_id, &mut rng)] }))
            }
            _ => {
                let key = owner.kyber(self.key_id, &mut rng).unwrap();
                ("kyber", json!({ "one_time": [key] }))
            }
        };
        let ask = Ask::new(Method::PUT, format!("/v1/keys/{kind}")).token(self.token(who));
        self.raw.ask(ask.json(&body)).await.word()
    }

    async fn digest(&self, who: Who) -> String {
        let ask = |who| Ask::new(Method::GET, "/v1/keys/digest").token(self.token(who));
        let heard = self.raw.ask(ask(who)).await;
        let owners = self.raw.ask(ask(Who::Owner)).await;
        let is_owners = heard.status == 200 && heard.body["digest"] == owners.body["digest"];
        if is_owners { format!("{}, the owner's", heard.word()) } else { heard.word() }
    }

    /// A message for each device of the owner's account but the caller's.
    fn letter(&self, who: Who) -> Value {
        self.alice.letter(Self::addressed(who))
    }

    const fn addressed(who: Who) -> &'static [u32] {
        match who {
            Who::Owner => &[2],
            Who::Device => &[1],
            _ => &[1, 2],
        }
    }

    async fn poll(&self, who: Who) -> String {
        let heard =
            self.raw.ask(Ask::new(Method::GET, "/v1/messages").token(self.token(who))).await;
        let envelopes = heard.body["envelopes"].as_array().into_iter().flatten();
        let has_owners =
            envelopes.into_iter().any(|one| one["id"] == json!(self.envelope.unwrap()));
        if has_owners { format!("{}, the owner's envelopes", heard.word()) } else { heard.word() }
    }

    /// Says something on a socket of the caller's. Who is about to be closed says it before
    /// that.
    pub(super) async fn say(&self, who: Who, body: Body) -> String {
        let mut socket = self.raw.open(self.token(who)).await;
        match who {
            Who::Nobody => socket.say(body).await,
            Who::Revoked => socket.say_at_once(body).await,
            _ => match socket.served().await.as_str() {
                "served" => socket.say(body).await,
                other => other.to_owned(),
            },
        }
    }

    async fn authenticate_as_owner(&self, who: Who) -> String {
        let mut token = self.alice.token(1).to_owned();
        if who == Who::Nobody {
            // It says it is the owner's, and is signed by nobody.
            let (signed, _) = token.rsplit_once('.').unwrap();
            token = format!("{signed}.{}", "A".repeat(86));
        }
        self.say(who, Body::Authenticate(Authenticate { token })).await
    }

    /// A ticket of the caller's last socket.
    async fn own_ticket(&self, who: Who) -> Vec<u8> {
        match who {
            Who::Nobody => vec![9; 32],
            Who::Revoked => self.lost_ticket.clone(),
            who => {
                let mut socket = self.raw.open(self.token(who)).await;
                assert_eq!(socket.served().await, "served");
                socket.ticket.clone()
            }
        }
    }

    async fn resume_as_owner(&self, who: Who) -> String {
        if who == Who::Nobody {
            let guess = Resume { ticket: vec![9; 32].into() };
            return self.say(who, Body::Resume(guess)).await;
        }
        let ticket = self.own_ticket(Who::Owner).await.into();
        self.say(who, Body::Resume(Resume { ticket })).await
    }
}
