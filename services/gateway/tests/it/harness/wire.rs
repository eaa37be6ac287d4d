//! The wire to Redis, which can be cut.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{gateway::redis_url, wait_for};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    url: String,
    whole: Arc<watch::Sender<bool>>,
}

impl Wire {
    /// A wire to the test's Redis.
    pub(crate) async fn to_redis() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (redis, url) = led_past(&redis_url(), listener.local_addr().unwrap());
        let (whole, is_whole) = watch::channel(true);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, redis.clone(), is_whole.clone()));
            }
        });
        Self { url, whole: Arc::new(whole) }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Ends every connection, and lets none through. Returns once none is left.
    pub(crate) async fn cut(&self) {
        self.whole.send_replace(false);
        // One is left to whoever accepts.
        wait_for("the wire to be silent", async || self.whole.receiver_count() <= 1).await;
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

/// Where a URL leads, and the same URL, with its password, leading elsewhere.
fn led_past(url: &str, address: SocketAddr) -> (String, String) {
    let authority = url.trim_start_matches("redis://").split('/').next().unwrap();
    let server = authority.rsplit('@').next().unwrap();
    (server.to_owned(), url.replace(server, &address.to_string()))
}

async fn carry(mut near: TcpStream, redis: String, mut is_whole: watch::Receiver<bool>) {
    if !*is_whole.borrow() {
        return;
    }
    let mut far = TcpStream::connect(redis).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = is_whole.wait_for(|whole| !whole) => {}
    }
}
