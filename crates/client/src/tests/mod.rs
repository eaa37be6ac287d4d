//! Two and more devices that talk to one another through libsignal and their
//! stores, with the server's part played by hand.

mod besides;
mod bodies;
mod changes;
mod company;
mod documents;
mod exchange;
mod expiry;
mod gateway;
mod identities;
mod links;
mod network;
mod order;
mod outbox;
mod presence;
mod receipts;
mod registration;
mod requests;
mod server;
mod sizes;
mod spoilt;
mod stock;
mod store;
mod sync;
mod trust;
mod verification;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use libsignal_protocol::{
    GenericSignedPreKey as _, KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord,
};
use sotto_identity::{SignedOp, State, build, encode_op, replay, signing_message};
use sotto_ids::{AccountId, AccountUuid, ClientMsgId, DeviceAddress, DeviceId, EnvelopeId};
use sotto_proto::socket as pb;
use tempfile::TempDir;
use tokio::sync::{broadcast, watch};

use self::company::{introduce, post, two_and_a_laptop};
use crate::{
    ClientError, Clock, Draft, Event, Message, MessageId, Phase, RecoveryPhrase, StoreKey, Tuning,
    client::account::make_genesis,
    outbox::{Answer, Batch, Wanted, enqueue, next_batch, settle},
    receive::{Intake, take_in},
    rest::wire::{DeviceBundle, OneTimeKey, SignedKey},
    signal::{
        bundle::open_sessions,
        keys::{DeviceKeys, make_one_time, make_standing},
    },
    vault::{
        Own, Signals, Tx, Vault, VaultOptions, chains, messages, own,
        prekeys::{self, OneTime, Standing},
    },
};

const START_MS: u64 = 1_700_000_000_000;

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A device with its store.
struct Party {
    dir: Arc<TempDir>,
    file: String,
    clock: Arc<TestClock>,
    vault: Vault,
    events: broadcast::Receiver<Event>,
    address: DeviceAddress,
    account: AccountId,
}

async fn start(path: &Path, key: u8, clock: &Arc<TestClock>) -> Result<Started, ClientError> {
    let (events, receiver) = broadcast::channel(4_096);
    let vault = Vault::start(VaultOptions {
        path: path.to_owned(),
        key: StoreKey::new([key; 32]),
        tuning: Tuning::default(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        signals: Signals {
            events,
            outbox: watch::Sender::new(0),
            holds: watch::Sender::new(None),
            chores: watch::Sender::new(None),
        },
    })
    .await?;
    Ok(Started { vault, events: receiver })
}

struct Started {
    vault: Vault,
    events: broadcast::Receiver<Event>,
}

impl Party {
    /// A person with a new account and one device.
    async fn new() -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let clock = Arc::new(TestClock(START_MS.into()));
        let Started { vault, events } = start(&dir.path().join("1.db"), 7, &clock).await.unwrap();
        let account = vault
            .run(|tx| {
                let phrase = RecoveryPhrase::generate(tx.rng);
                let genesis = make_genesis(tx, &phrase.recovery_key(), "lumen.chat")?;
                let state = Arc::new(State::genesis(&genesis)?);
                chains::pin(tx.db, tx.chains, &state, &[genesis])?;
                stock_up(tx)?;
                Ok(state.account_id)
            })
            .await
            .unwrap();
        let address = DeviceAddress::new(account.uuid(), DeviceId::FIRST);
        Self { dir, file: "1.db".to_owned(), clock, vault, events, address, account }
    }

    /// Another device of the same account, certified by this one.
    async fn second_device(&self, number: u32) -> Self {
        let file = format!("{number}.db");
        let path = self.dir.path().join(&file);
        let Started { vault, events } = start(&path, 7, &self.clock).await.unwrap();
        let state = self.state().await;
        let device = DeviceId::try_from(number).unwrap();
        let account = self.account;
        let payload = vault
            .run(move |tx| {
                let keys = DeviceKeys::generate(tx.rng);
                let body = build::add_device(&keys.certificate(device, false)?);
                let mut op = state.next_op(body, tx.now_ms);
                keys.countersign(&mut op, tx.rng)?;
                let DeviceKeys { device_key, identity, mls_key, registration_id } = keys;
                let own = Own {
                    phase: Phase::Requested,
                    account,
                    device,
                    registration_id,
                    account_key: None,
                    device_key,
                    identity,
                    mls_key,
                    pending: None,
                };
                own::put(tx.db, &own)?;
                Ok(encode_op(&op))
            })
            .await
            .unwrap();
        let signed = self.sign(payload).await;
        self.append(signed).await;
        let address = DeviceAddress::new(account.uuid(), device);
        let second = Self {
            dir: Arc::clone(&self.dir),
            file,
            clock: Arc::clone(&self.clock),
            vault,
            events,
            address,
            account,
        };
        second.meet(self).await;
        second.vault.run(stock_up).await.unwrap();
        second
    }

    /// Signs an op with the account key.
    async fn sign(&self, payload: Vec<u8>) -> SignedOp {
        self.vault
            .run(move |tx| {
                use ed25519_dalek::Signer as _;
                let key = own::load(tx.db)?.account_key.unwrap();
                let signature = key.sign(&signing_message(&payload)).to_bytes();
                Ok(build::signed(payload, [(key.verifying_key().to_bytes(), signature)]))
            })
            .await
            .unwrap()
    }

    /// Adds an op to the own chain.
    async fn append(&self, signed: SignedOp) {
        let uuid = self.account.uuid();
        let next = Arc::new(self.state().await.apply(&signed).unwrap());
        self.vault
            .run(move |tx| {
                assert!(chains::find(tx.db, tx.chains, uuid)?.is_some());
                Ok(chains::pin(tx.db, tx.chains, &next, &[signed])?)
            })
            .await
            .unwrap();
    }

    async fn state(&self) -> Arc<State> {
        let uuid = self.account.uuid();
        self.vault
            .run(move |tx| Ok(chains::find(tx.db, tx.chains, uuid)?.unwrap().1))
            .await
            .unwrap()
    }

    async fn ops(&self) -> Vec<SignedOp> {
        let uuid = self.account.uuid();
        self.vault.run(move |tx| Ok(chains::ops(tx.db, uuid)?)).await.unwrap()
    }

    /// Takes the other's chain as it is now.
    async fn meet(&self, other: &Self) {
        let ops = other.ops().await;
        let uuid = other.account.uuid();
        self.vault
            .run(move |tx| {
                let known = chains::ops(tx.db, uuid)?.len();
                let state = Arc::new(replay(&ops)?);
                Ok(chains::pin(tx.db, tx.chains, &state, &ops[known..])?)
            })
            .await
            .unwrap();
    }

    /// Opens a session with a bundle of the other device.
    async fn open_session(&self, other: &Self) {
        let bundle = other.bundle().await;
        self.try_open_session(other, bundle).await.unwrap();
    }

    async fn try_open_session(
        &self,
        other: &Self,
        bundle: DeviceBundle,
    ) -> Result<(), ClientError> {
        let uuid = other.account.uuid();
        self.vault
            .run(move |tx| {
                let own = own::load(tx.db)?;
                let (_, state) = chains::find(tx.db, tx.chains, uuid)?.unwrap();
                open_sessions(tx, &own, &state, &[bundle])
            })
            .await
    }

    /// A bundle as the server would hand it out, with one-time keys while there are
    /// any.
    async fn bundle(&self) -> DeviceBundle {
        self.vault.run(take_bundle).await.unwrap()
    }

    async fn write(&self, to: &Self, text: &str) -> MessageId {
        let (to, text) = (to.account, text.to_owned());
        self.vault.run(move |tx| enqueue(tx, to, Draft::text(text))).await.unwrap()
    }

    /// What the outbox gives out now; it stays there.
    async fn batch(&self) -> Batch {
        self.vault.run(|tx| next_batch(tx, everything(tx.now_ms))).await.unwrap()
    }

    /// Empties the outbox as a server would that accepts all of it.
    async fn send_all(&self) -> Vec<pb::Send> {
        let batch = self.batch().await;
        assert!(batch.strangers.is_empty(), "there is a session with everybody");
        for (seq, ..) in &batch.sends {
            self.answer(*seq, Answer::Accepted { server_time_ms: 9 }).await;
        }
        batch.sends.into_iter().map(|(.., send)| send).collect()
    }

    /// Writes texts and gives back the sends, in order.
    async fn say(&self, to: &Self, texts: &[&str]) -> Vec<pb::Send> {
        for text in texts {
            self.write(to, text).await;
        }
        self.send_all().await
    }

    async fn answer(&self, seq: u64, answer: Answer) {
        self.vault.run(move |tx| settle(tx, seq, answer)).await.unwrap();
    }

    /// Takes in what another device sent, as one batch.
    async fn receive(&self, from: &Self, sends: &[pb::Send]) -> Intake {
        let envelopes = self.envelopes(from, sends);
        self.vault.run(move |tx| take_in(tx, envelopes, false)).await.unwrap()
    }

    fn envelopes(&self, from: &Self, sends: &[pb::Send]) -> Vec<pb::Envelope> {
        sends.iter().map(|send| envelope(from.address, self.address, send)).collect()
    }

    /// The texts that are in the history, in the order shown; of what could not be
    /// read, the cause in brackets.
    async fn shown(&self) -> Vec<String> {
        let text = |message: Message| match message.body {
            crate::Body::Text(text) => text,
            crate::Body::Unreadable { reason } => format!("[{reason}]"),
            other => format!("<{}>", other.kind()),
        };
        let messages = self.vault.run(|tx| Ok(messages::after(tx.db, 0, 10_000)?)).await.unwrap();
        messages
            .into_iter()
            .filter(|message| message.direction == crate::Direction::Received)
            .map(text)
            .collect()
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(&self.file)
    }

    /// Ends the process, as it were, and starts it again.
    async fn restart(&mut self) {
        self.vault.close().await;
        let Started { vault, events } = start(&self.path(), 7, &self.clock).await.unwrap();
        (self.vault, self.events) = (vault, events);
    }

    fn after_ms(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }
}

/// Two people who know each other; the first has a session with the second.
async fn two() -> (Party, Party) {
    let (alice, bob) = (Party::new().await, Party::new().await);
    alice.meet(&bob).await;
    bob.meet(&alice).await;
    alice.open_session(&bob).await;
    (alice, bob)
}

fn everything(server_now_ms: u64) -> Wanted {
    Wanted {
        room: 10_000,
        in_flight: [].into(),
        halted: [].into(),
        server_now_ms,
        max_frame: 128 * 1024,
        calls_back: true,
        retracting: [].into(),
    }
}

fn stock_up(tx: &mut Tx<'_>) -> Result<(), ClientError> {
    let own = own::load(tx.db)?;
    make_standing(tx, &own, Standing::LastResort)?;
    make_standing(tx, &own, Standing::SignedEc)?;
    for kind in [OneTime::Ec, OneTime::Kyber] {
        make_one_time(tx, &own, kind, 4)?;
    }
    Ok(own::enter(tx.db, Phase::Ready)?)
}

fn take_bundle(tx: &mut Tx<'_>) -> Result<DeviceBundle, ClientError> {
    let own = own::load(tx.db)?;
    let signed = prekeys::current(tx.db, Standing::SignedEc)?.unwrap();
    let signed_record = SignedPreKeyRecord::deserialize(&signed.record).unwrap();
    let one_time = prekeys::unpublished(tx.db, OneTime::Ec, 1)?.pop();
    let last_resort = prekeys::current(tx.db, Standing::LastResort)?.unwrap();
    let one_time_kyber = prekeys::unpublished(tx.db, OneTime::Kyber, 1)?.pop();
    let kyber = one_time_kyber.unwrap_or((last_resort.id, last_resort.record));
    for (kind, id) in
        [(OneTime::Ec, one_time.as_ref().map(|(id, _)| *id)), (OneTime::Kyber, Some(kyber.0))]
    {
        prekeys::set_published(tx.db, kind, id.as_slice())?;
    }
    let kyber_record = KyberPreKeyRecord::deserialize(&kyber.1).unwrap();
    Ok(DeviceBundle {
        device_id: own.device,
        registration_id: own.registration_id,
        identity_key: own.identity.identity_key().serialize().into_vec().into(),
        signed_ec: SignedKey {
            key_id: signed.id,
            public_key: signed_record.public_key().unwrap().serialize().into_vec().into(),
            signature: signed_record.signature().unwrap().into(),
        },
        one_time_ec: one_time.map(|(id, record)| OneTimeKey {
            key_id: id,
            public_key: PreKeyRecord::deserialize(&record)
                .unwrap()
                .public_key()
                .unwrap()
                .serialize()
                .into_vec()
                .into(),
        }),
        kyber: Some(SignedKey {
            key_id: kyber.0,
            public_key: kyber_record.public_key().unwrap().serialize().into_vec().into(),
            signature: kyber_record.signature().unwrap().into(),
        }),
    })
}

/// The envelope that a send is for one device.
fn envelope(from: DeviceAddress, to: DeviceAddress, send: &pb::Send) -> pb::Envelope {
    let message = send
        .messages
        .iter()
        .find(|message| message.device_id == u32::from(to.device))
        .expect("the send is for this device too");
    let id = ClientMsgId::try_from(send.client_msg_id.as_ref()).unwrap();
    assert_eq!(AccountUuid::try_from(send.recipient.as_ref()).unwrap(), to.account);
    pb::Envelope {
        id: EnvelopeId::derive(from, to, id).as_bytes().to_vec().into(),
        sender: from.account.as_bytes().to_vec().into(),
        sender_device: from.device.into(),
        r#type: message.r#type,
        ciphertext: message.ciphertext.clone(),
        server_time_ms: START_MS,
        class: send.class,
    }
}
