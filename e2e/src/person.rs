//! Somebody with a device.

use std::{path::PathBuf, sync::Arc};

use rand::{SeedableRng as _, rngs::StdRng};
use sotto_client::{
    Body, Client, ClientConfig, Direction, EventStream, FixedToken, Message, PeerName,
    RecoveryPhrase, StoreKey, Transport, Tuning,
};
use sotto_ids::AccountId;
use sotto_testkit::{Cluster, wait_for};
use tempfile::TempDir;

use crate::PATIENCE;

/// The key of every store in these tests.
pub const STORE_KEY: [u8; 32] = [0x5e; 32];

/// Messages that are read from a store at once.
const PAGE: usize = 500;

/// One device of somebody, with a store of its own.
#[derive(Debug)]
pub struct Person {
    /// The device.
    pub client: Client,
    /// What it tells.
    pub events: EventStream,
    /// Whose it is.
    pub account: AccountId,
    /// The recovery words of the account, on its first device.
    pub words: String,
    /// What was shown to the app as a proof of the user.
    pub app_token: String,
    config: ClientConfig,
    store: TempDir,
}

impl Person {
    /// Registers a user of an app, whose handle is their name. The device tries the
    /// gateway of that number first.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn register(cluster: &Cluster, app: &str, name: &str, gateway: usize) -> Self {
        Self::register_with(cluster, app, name, None, config(cluster, gateway)).await
    }

    /// The same, with an invite of the person who runs the server.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn register_invited(cluster: &Cluster, app: &str, name: &str, invite: &str) -> Self {
        Self::register_with(cluster, app, name, Some(invite), config(cluster, 0)).await
    }

    /// The same, with a device that calls the REST API at another address: that of a
    /// [`crate::Front`].
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn register_through(cluster: &Cluster, rest: &str, app: &str, name: &str) -> Self {
        let (mut config, store) = config(cluster, 0);
        config.rest = rest.parse().expect("the address of a front");
        Self::register_with(cluster, app, name, None, (config, store)).await
    }

    async fn register_with(
        cluster: &Cluster,
        app: &str,
        name: &str,
        invite: Option<&str>,
        (config, store): (ClientConfig, TempDir),
    ) -> Self {
        let app_token = cluster.app_token(app, name);
        let client = open(&config, &app_token).await;
        let phrase = RecoveryPhrase::generate(&mut StdRng::from_os_rng());
        let handle = name.parse().expect("the name is a handle");
        let me = client.register_with(&phrase, Some(&handle), invite).await.expect("register");
        Self {
            events: client.events(),
            client,
            account: me.account,
            words: phrase.words().to_owned(),
            app_token,
            config,
            store,
        }
    }

    /// Another device of the same user, requested there and approved here.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn add_device(&self, cluster: &Cluster, gateway: usize) -> Self {
        let (mut config, store) = config(cluster, gateway);
        config.rest.clone_from(&self.config.rest);
        let client = open(&config, &self.app_token).await;
        let request = client.request_device(self.account).await.expect("request a device");
        self.client.approve_device(&request).await.expect("approve the device");
        client.finish_device().await.expect("finish the device");
        Self {
            events: client.events(),
            client,
            account: self.account,
            words: String::new(),
            app_token: self.app_token.clone(),
            config,
            store,
        }
    }

    /// Another device of the same user, linked by a text through the server, as an admin
    /// or not.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn link_device(&self, cluster: &Cluster, admin: bool, gateway: usize) -> Self {
        let (mut config, store) = config(cluster, gateway);
        config.rest.clone_from(&self.config.rest);
        let client = open(&config, &self.app_token).await;
        let pending = client.open_link().await.expect("open a link");
        let link = pending.link().to_string().parse().expect("the text of a link");
        let (approved, linked) = tokio::join!(
            self.client.approve_link(&link, admin),
            pending.finish(Some(self.account)),
        );
        approved.expect("approve the link");
        linked.expect("take the place");
        Self {
            events: client.events(),
            client,
            account: self.account,
            words: String::new(),
            app_token: self.app_token.clone(),
            config,
            store,
        }
    }

    /// A new device of a user who has nothing left but the words of the account.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn recover(cluster: &Cluster, app: &str, name: &str, words: &str) -> Self {
        let (config, store) = config(cluster, 0);
        let app_token = cluster.app_token(app, name);
        let client = open(&config, &app_token).await;
        let phrase = words.parse().expect("24 words");
        let handle = name.parse().expect("the name is a handle");
        let me = client.recover(&handle, &phrase).await.expect("recover");
        Self {
            events: client.events(),
            client,
            account: me.account,
            words: words.to_owned(),
            app_token,
            config,
            store,
        }
    }

    /// Ends the app on this device and starts it again, with another way to the server.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn go_by(&mut self, transport: Transport) {
        self.config.transport = transport;
        self.restart().await;
    }

    /// Ends the app on this device and starts it again, on the same store.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn restart(&mut self) {
        self.client.clone().close().await;
        self.client = open(&self.config, &self.app_token).await;
        self.events = self.client.events();
    }

    /// Ends the app on this device and starts it again with other bounds and paces.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn retune(&mut self, change: impl FnOnce(&mut Tuning)) {
        change(&mut self.config.tuning);
        self.restart().await;
    }

    /// Ends the app on this device, copies its store, and starts it twice: as it was, and
    /// from the copy, which tries the gateway of that number first.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn copy_device(self, cluster: &Cluster, gateway: usize) -> (Self, Self) {
        self.client.clone().close().await;
        let (mut config, store) = config(cluster, gateway);
        config.rest.clone_from(&self.config.rest);
        std::fs::copy(&self.config.store_path, &config.store_path).expect("copy the store");
        let client = open(&config, &self.app_token).await;
        let copy = Self {
            events: client.events(),
            client,
            account: self.account,
            words: self.words.clone(),
            app_token: self.app_token.clone(),
            config,
            store,
        };
        let mut original = self;
        original.client = open(&original.config, &original.app_token).await;
        original.events = original.client.events();
        (original, copy)
    }

    /// Where the store of the device is.
    pub fn store_file(&self) -> PathBuf {
        self.store.path().join("store.db")
    }

    /// Looks somebody up by their handle.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn meet(&self, handle: &str) -> AccountId {
        let name: PeerName = handle.parse().expect("a handle");
        self.client.add_contact(&name).await.expect("add the contact").account
    }

    /// Connects, and waits until it is.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn go_online(&self) {
        self.client.go_online().await.expect("go online");
        self.client.wait_connected(PATIENCE).await.expect("connect");
    }

    /// Writes a message, which is in the outbox when this returns.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn write(&self, to: AccountId, text: &str) {
        self.client.send_text(to, text).await.expect("write");
    }

    /// Waits until the server has accepted everything that was written.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub async fn flush(&self) {
        self.client.flush(PATIENCE).await.expect("flush");
    }

    /// Writes a message and waits until the server has accepted it.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn send(&self, to: AccountId, text: &str) {
        self.write(to, text).await;
        self.flush().await;
    }

    /// Everything that this device was sent, in the order in which it was shown.
    ///
    /// # Panics
    ///
    /// When the store cannot be read, or holds something that is no text.
    pub async fn received(&self) -> Vec<String> {
        self.received_messages().await.into_iter().map(text).collect()
    }

    async fn received_messages(&self) -> Vec<Message> {
        let mut all = Vec::new();
        let mut position = 0;
        loop {
            let page = self.client.messages_after(position, PAGE).await.expect("read the messages");
            let Some(last) = page.last() else { return all };
            position = last.position;
            all.extend(page.into_iter().filter(|one| one.direction == Direction::Received));
        }
    }

    /// Waits until this device was sent so many messages, and returns them in the order
    /// in which they were shown.
    ///
    /// # Panics
    ///
    /// With how many there were, when they do not come.
    pub async fn receives(&self, count: usize) -> Vec<String> {
        wait_for(PATIENCE, &format!("{count} messages"), || async {
            let received = self.received().await;
            if received.len() >= count { Ok(received) } else { Err(received.len()) }
        })
        .await
    }
}

fn text(message: Message) -> String {
    match message.body {
        Body::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

fn config(cluster: &Cluster, gateway: usize) -> (ClientConfig, TempDir) {
    let store = TempDir::new().expect("make a folder");
    let mut sockets: Vec<_> = cluster
        .socket_urls()
        .iter()
        .map(|url| url.parse().expect("the cluster's own address"))
        .collect();
    sockets.rotate_left(gateway);
    let mut config = ClientConfig::new(
        cluster.domain(),
        cluster.rest_url().parse().expect("the cluster's own address"),
        sockets,
        store.path().join("store.db"),
        StoreKey::new(STORE_KEY),
    );
    config.tuning = Tuning { retry_max: PATIENCE / 30, ..Tuning::default() };
    (config, store)
}

async fn open(config: &ClientConfig, app_token: &str) -> Client {
    let token = FixedToken(app_token.to_owned());
    Client::open(config.clone(), Arc::new(token)).await.expect("open the store")
}
