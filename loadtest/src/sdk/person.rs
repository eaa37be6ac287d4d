use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use rand::{SeedableRng as _, rngs::StdRng};
use sotto_client::{
    Body, Client, ClientConfig, Direction, FixedToken, Message, MessageState, PeerName,
    RecoveryPhrase, StoreKey, Tuning,
};
use sotto_ids::AccountId;
use tokio::{task::JoinHandle, time::Instant};

use super::{ear, ear::Heard, outgoing::Outgoing, text};
use crate::oracle::{Letter, Oracle};

/// How long a device may take for anything on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// The key of every store. They hold nothing that anybody wrote.
const STORE_KEY: [u8; 32] = [0x10; 32];

/// One-time prekeys that a device keeps: it meets a few others, not hundreds.
const PREKEYS: u32 = 20;

/// Characters of a text.
const TEXT: usize = 160;

/// Messages that are read from a store at once.
const PAGE: usize = 500;

/// Where a device belongs.
#[derive(Debug)]
pub struct Seat {
    /// Its number in the run.
    pub number: u32,
    /// What its app says of its user.
    pub app_token: String,
    /// The home of its account.
    pub domain: String,
    /// Where REST is.
    pub rest: String,
    /// The sockets of the gateways, in the order in which it tries them.
    pub sockets: Vec<String>,
    /// The file of its store.
    pub store: PathBuf,
}

/// One device.
#[derive(Debug)]
pub struct Person {
    number: u32,
    client: Client,
    account: AccountId,
    contacts: Mutex<Vec<Contact>>,
    outgoing: Arc<Outgoing>,
    oracle: Arc<Oracle>,
    heard: Arc<Heard>,
    listening: JoinHandle<()>,
}

/// Somebody to write to, and how often that was done.
#[derive(Debug, Clone, Copy)]
struct Contact {
    number: u32,
    account: AccountId,
    written: u64,
}

impl Person {
    #[expect(clippy::disallowed_methods, reason = "the listener ends when its client is closed")]
    pub(super) async fn register(
        seat: Seat,
        oracle: Arc<Oracle>,
        heard: Arc<Heard>,
    ) -> anyhow::Result<Self> {
        let sockets = seat.sockets.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
        let mut config = ClientConfig::new(
            seat.domain,
            seat.rest.parse()?,
            sockets,
            seat.store,
            StoreKey::new(STORE_KEY),
        );
        config.tuning = Tuning {
            // A gateway that was killed is tried again soon, as there is only one other.
            retry_max: Duration::from_secs(2),
            prekey_target: PREKEYS,
            prekey_low: PREKEYS / 4,
            ..Tuning::default()
        };
        let client = Client::open(config, Arc::new(FixedToken(seat.app_token))).await?;
        let phrase = RecoveryPhrase::generate(&mut StdRng::from_os_rng());
        let me = client.register(&phrase, None).await?;
        let outgoing = Arc::<Outgoing>::default();
        let listening = tokio::spawn(ear::listen(
            client.events(),
            Arc::clone(&outgoing),
            Arc::clone(&oracle),
            Arc::clone(&heard),
        ));
        Ok(Self {
            number: seat.number,
            client,
            account: me.account,
            contacts: Mutex::default(),
            outgoing,
            oracle,
            heard,
            listening,
        })
    }

    pub(super) async fn meet(&self, other: &Self) -> anyhow::Result<()> {
        self.client.add_contact(&PeerName::Account(other.account)).await?;
        let contact = Contact { number: other.number, account: other.account, written: 0 };
        self.contacts.lock().unwrap_or_else(PoisonError::into_inner).push(contact);
        Ok(())
    }

    pub(super) async fn go_online(&self) -> anyhow::Result<()> {
        self.client.go_online().await?;
        self.client.wait_connected(PATIENCE).await.context("a device does not get online")
    }

    /// How many others this device knows.
    pub fn contacts(&self) -> usize {
        self.contacts.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Writes to one of its contacts, counted round; it was meant to at `intended`. The
    /// message is in the outbox when this returns. One call at a time for each device.
    pub async fn write(&self, contact: usize, intended: Instant) {
        let Some((letter, account)) = self.next_letter(contact) else { return };
        self.oracle.offered(letter, intended);
        match self.client.send_text(account, text::write(letter, TEXT)).await {
            Ok(id) => self.outgoing.written(id, letter, &self.oracle),
            Err(error) => {
                self.heard.trouble(format!("not written: {}", error.reason()));
                self.oracle.refused(letter);
            }
        }
    }

    fn next_letter(&self, contact: usize) -> Option<(Letter, AccountId)> {
        let mut contacts = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = contacts.len().max(1);
        let contact = contacts.get_mut(contact % count)?;
        let letter = Letter { from: self.number, to: contact.number, number: contact.written };
        contact.written += 1;
        Some((letter, contact.account))
    }

    /// Tells an oracle what the store says of the messages that this device wrote.
    pub(super) async fn testify_sent(&self, oracle: &Oracle) -> anyhow::Result<()> {
        self.read(|letter, message| {
            if message.direction == Direction::Sent {
                oracle.offered(letter, Instant::now());
                match message.state {
                    MessageState::Queued => {}
                    MessageState::Failed { .. } => oracle.refused(letter),
                    _ => oracle.accepted(letter, None),
                }
            }
        })
        .await
    }

    /// Tells an oracle what the store says of the messages that this device was shown.
    pub(super) async fn testify_received(&self, oracle: &Oracle) -> anyhow::Result<()> {
        self.read(|letter, message| {
            if message.direction == Direction::Received {
                oracle.shown(letter);
            }
        })
        .await
    }

    async fn read(&self, mut with: impl FnMut(Letter, &Message)) -> anyhow::Result<()> {
        let mut position = 0;
        loop {
            let page = self.client.messages_after(position, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            position = last.position;
            for message in &page {
                if let Body::Text(text) = &message.body
                    && let Some(letter) = text::read(text)
                {
                    with(letter, message);
                }
            }
        }
    }

    /// Its account, as the queues of the server have it.
    pub fn uuid(&self) -> sotto_ids::AccountUuid {
        self.account.uuid()
    }

    pub(super) async fn close(self) {
        self.client.close().await;
        self.listening.abort();
    }
}
