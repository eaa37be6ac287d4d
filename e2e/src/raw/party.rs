use std::time::SystemTime;

use prost::bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_identity::{Body, build};
use sotto_ids::{Base64Bytes, ClientMsgId, DeviceId};
use sotto_load::light::{Account, DeviceKeys, one_time_ec, op_body};
use sotto_proto::socket::{CiphertextType, DeviceMessage, Send};

use super::{Ask, Raw};

/// One-time prekeys of each kind that a device publishes.
const STOCK: u32 = 20;

/// An account, all its private keys, and a token of each device.
#[derive(Debug)]
pub struct Party {
    /// The account.
    pub account: Account,
    /// What its app says of its user.
    pub app_token: String,
    tokens: Vec<String>,
}

impl Party {
    /// Registers a user of an app, with devices 1 to `devices`, of which the first
    /// `ready` publish their prekeys. The handle is its name.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn register(
        name: &str,
        devices: u32,
        ready: u32,
        app_token: String,
        raw: &Raw,
    ) -> Self {
        let mut rng = StdRng::from_os_rng();
        let account = Account::generate(devices, &raw.domain, now_ms(), &mut rng);
        let mut account = account.expect("an account within the rules");
        let handle = name.parse().expect("the name is a handle");
        let op = account.next(build::set_handle(&handle), now_ms());
        account.follow(op).expect("an op within the rules");
        let mut body = account.registration(&app_token);
        let ask = Ask::new(Method::POST, "/v1/accounts");
        let mut heard = raw.ask(ask.clone().json(&body)).await;
        if heard.word() == "402 proof_of_work_required" {
            let body = body.as_object_mut().expect("an object");
            body.insert("proof_of_work".to_owned(), raw.work().await);
            heard = raw.ask(ask.json(&json!(body))).await;
        }
        assert_eq!(heard.word(), "201", "{:?}", heard.body);

        let mut party = Self { account, app_token, tokens: Vec::new() };
        for number in 1..=devices {
            let token = party.login(device(number), raw).await;
            if number <= ready {
                party.publish(device(number), &token, raw).await;
            }
            party.tokens.push(token);
        }
        party
    }

    /// The token of a device.
    ///
    /// # Panics
    ///
    /// When it has no such device.
    pub fn token(&self, number: u32) -> &str {
        let place = usize::try_from(number).expect("a small number") - 1;
        self.tokens.get(place).expect("a device that was logged in")
    }

    /// The private keys of a device.
    ///
    /// # Panics
    ///
    /// When it has no such device.
    pub fn keys(&self, number: u32) -> &DeviceKeys {
        self.account.device(device(number)).expect("a device of the account")
    }

    /// Appends an op, signed as it has to be.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn append(&mut self, body: Body, raw: &Raw) {
        let op = self.account.next(body, now_ms());
        let heard = raw
            .ask(
                Ask::new(Method::POST, format!("/v1/accounts/{}/ops", self.account.id))
                    .token(Some(self.token(1)))
                    .json(&json!({ "ops": [op_body(&op)] })),
            )
            .await;
        assert_eq!(heard.word(), "200", "{:?}", heard.body);
        self.account.follow(op).expect("the server took it");
    }

    /// A message for those of its devices, for REST: a body of `PUT /v1/messages/{recipient}`.
    pub fn letter(&self, devices: &[u32]) -> Value {
        let messages: Vec<_> = devices
            .iter()
            .map(|&number| {
                json!({
                    "device_id": number,
                    "registration_id": self.keys(number).registration_id,
                    "type": "whisper",
                    "ciphertext": Base64Bytes(vec![7; 64]),
                })
            })
            .collect();
        json!({ "client_msg_id": message_id().to_string(), "messages": messages })
    }

    /// A message for those of its devices, for the socket.
    pub fn send(&self, devices: &[u32]) -> Send {
        let messages = devices.iter().map(|&number| DeviceMessage {
            device_id: number,
            registration_id: self.keys(number).registration_id,
            r#type: CiphertextType::Whisper.into(),
            ciphertext: Bytes::from_static(&[7; 64]),
        });
        Send {
            client_msg_id: Bytes::copy_from_slice(message_id().as_bytes()),
            recipient: Bytes::copy_from_slice(self.account.uuid().as_bytes()),
            messages: messages.collect(),
            ..Send::default()
        }
    }

    async fn login(&self, device: DeviceId, raw: &Raw) -> String {
        let challenge = raw.challenge().await;
        let keys = self.account.device(device).expect("a device of the account");
        let id = self.account.id;
        let body = keys.login(id, device, &challenge, &self.app_token, &raw.domain);
        let heard = raw.ask(Ask::new(Method::POST, "/v1/auth/token").json(&body)).await;
        assert_eq!(heard.word(), "200", "{:?}", heard.body);
        heard.text("token").to_owned()
    }

    async fn publish(&self, device: DeviceId, token: &str, raw: &Raw) {
        let mut rng = StdRng::from_os_rng();
        let keys = self.account.device(device).expect("a device of the account");
        let signed = keys.signed_ec(1, &mut rng).expect("libsignal signs");
        let mut kyber = |id| keys.kyber(id, &mut rng).expect("libsignal signs");
        let last_resort = kyber(1);
        let one_time: Vec<_> = (2..STOCK + 2).map(kyber).collect();
        let ec: Vec<_> =
            (1..=STOCK).map(|id| one_time_ec(id, &mut StdRng::from_os_rng())).collect();
        for (kind, body) in [
            ("signed", signed),
            ("kyber", json!({ "last_resort": last_resort, "one_time": one_time })),
            ("one-time", json!({ "keys": ec })),
        ] {
            let ask = Ask::new(Method::PUT, format!("/v1/keys/{kind}")).token(Some(token));
            let heard = raw.ask(ask.json(&body)).await;
            assert_eq!(heard.word(), "200", "{:?}", heard.body);
        }
    }
}

impl Raw {
    /// A challenge for a login.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn challenge(&self) -> Vec<u8> {
        let heard = self.ask(Ask::new(Method::POST, "/v1/auth/challenge").json(&json!({}))).await;
        let challenge: Base64Bytes =
            serde_json::from_value(heard.text("challenge").into()).expect("base64");
        challenge.0
    }

    /// The proof of work that a registration needs where it needs one.
    async fn work(&self) -> Value {
        let ask = Ask::new(Method::POST, "/v1/accounts/challenge").json(&json!({}));
        let heard = self.ask(ask).await;
        let challenge: Base64Bytes =
            serde_json::from_value(heard.text("challenge").into()).expect("base64");
        let bits = heard.body.get("bits").and_then(Value::as_u64).unwrap_or_default();
        let bits = u8::try_from(bits).expect("a few bits");
        let nonce = sotto_identity::pow::solve(&challenge.0, bits).expect("a nonce");
        json!({ "challenge": challenge, "nonce": Base64Bytes(nonce.to_vec()) })
    }

    /// The name of a new mailbox for linking.
    ///
    /// # Panics
    ///
    /// When none is opened.
    pub async fn open_link(&self) -> String {
        let heard = self.ask(Ask::new(Method::POST, "/v1/link").json(&json!({}))).await;
        heard.text("link_id").to_owned()
    }
}

/// A number as that of a device.
fn device(number: u32) -> DeviceId {
    DeviceId::try_from(number).expect("the number of a device")
}

/// A name for a send of now.
pub fn message_id() -> ClientMsgId {
    ClientMsgId::new(now_ms(), StdRng::from_os_rng().random())
}

/// The time of ops and of sends.
#[expect(clippy::disallowed_methods, reason = "a device has a clock of its own")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
