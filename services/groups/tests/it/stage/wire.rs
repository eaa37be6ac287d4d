use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use sotto_kit::lifecycle::Lifecycle;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A TCP connection to a server that can be cut, and mended.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    /// Cancelled while it is cut.
    cut: Arc<Mutex<CancellationToken>>,
    lifecycle: Lifecycle,
}

impl Wire {
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let lifecycle = Lifecycle::new();
        let (life, state) = (lifecycle.clone(), Arc::clone(&cut));
        lifecycle.spawn("test.wire", async move {
            while let Ok((near, _)) = listener.accept().await {
                let cut = state.lock().unwrap().clone();
                if !cut.is_cancelled() {
                    life.spawn("test.wire.carry", carry(near, server.clone(), cut));
                }
            }
        });
        Self { address, cut, lifecycle }
    }

    /// Breaks what is connected, and refuses what would connect.
    pub(crate) fn cut(&self) {
        self.cut.lock().unwrap().cancel();
    }

    pub(crate) fn mend(&self) {
        *self.cut.lock().unwrap() = CancellationToken::new();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.lifecycle.stop();
    }
}

async fn carry(mut near: TcpStream, server: String, cut: CancellationToken) {
    let Ok(mut far) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        () = cut.cancelled() => {}
    }
}
