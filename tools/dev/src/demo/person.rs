//! Someone with a device: the SDK, with a store of their own.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sotto_client::{
    Client, ClientConfig, EventStream, FixedToken, Me, RecoveryPhrase, StoreKey, Tuning,
};
use url::Url;

use super::Stage;

/// A person of the demo.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) handle: &'static str,
    pub(crate) client: Client,
    pub(crate) events: EventStream,
    pub(crate) phrase: RecoveryPhrase,
    /// The key that their store is encrypted with.
    pub(crate) store_key: [u8; 32],
}

impl Person {
    /// Opens a new device of `app`'s user of that name, which tries the gateway of that
    /// number first.
    pub(crate) async fn new(
        handle: &'static str,
        app: &str,
        gateway: usize,
        tuning: Tuning,
        stage: Stage<'_>,
    ) -> anyhow::Result<Self> {
        let Stage { cluster, front } = stage;
        let (phrase, store_key) = fresh();
        let store = store_of(handle, cluster.dir())?;
        let mut sockets: Vec<Url> =
            cluster.socket_urls().iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
        sockets.rotate_left(gateway);
        let mut config = ClientConfig::new(
            cluster.domain(),
            front.url().parse()?,
            sockets,
            store,
            StoreKey::new(store_key),
        );
        config.tuning = tuning;
        let token = FixedToken(cluster.app_token(app, handle));
        let client = Client::open(config, std::sync::Arc::new(token))
            .await
            .with_context(|| format!("{handle}'s device does not open"))?;
        let events = client.events();
        Ok(Self { handle, client, events, phrase, store_key })
    }

    /// Registers them under their handle.
    pub(crate) async fn register(&self) -> anyhow::Result<Me> {
        let handle = self.handle.parse().context("the handle is none")?;
        self.client
            .register(&self.phrase, Some(&handle))
            .await
            .with_context(|| format!("{} cannot register", self.handle))
    }

    /// What nobody else may ever have of them, with what it is.
    pub(crate) fn secrets(&self) -> [(String, Vec<u8>); 2] {
        let handle = self.handle;
        [
            (format!("{handle}'s recovery phrase"), self.phrase.words().as_bytes().to_vec()),
            (format!("{handle}'s store key"), self.store_key.to_vec()),
        ]
    }
}

#[expect(clippy::disallowed_methods, reason = "keys of people who live for one demo")]
fn fresh() -> (RecoveryPhrase, [u8; 32]) {
    let mut rng = rand::rng();
    (RecoveryPhrase::generate(&mut rng), rand::random())
}

fn store_of(handle: &str, dir: &Path) -> std::io::Result<PathBuf> {
    let folder = dir.join("people");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{handle}.db")))
}
