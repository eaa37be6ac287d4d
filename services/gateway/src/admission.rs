//! How a socket becomes the one of its device, and stops being it.

use std::{sync::Arc, time::Duration};

use sotto_ids::{ConnectionId, DeviceAddress};
use sotto_store::{
    notices::{Notice, Notices},
    places::{Place, Places},
};
use tokio::time::timeout;

use crate::{
    metrics,
    registry::{Handle, Registry},
    session::io::Event,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Random for each start; the first half of our places.
    pub(crate) gateway: String,
    pub(crate) registry: Arc<Registry>,
    pub(crate) places: Places,
    pub(crate) notices: Notices,
    /// How long Redis may take.
    pub(crate) patience: Duration,
}

impl Admission {
    /// Makes a socket the one of its device: first in this process, then in Redis.
    ///
    /// Only then may its queue be read. An enqueue commits before it looks for the
    /// place, so one of the two always sees the other.
    ///
    /// Where Redis is away the socket is served without a place: it reads its queue
    /// with each audit, and the audit writes the place once Redis is back.
    ///
    /// `has_left`: whether the peer is gone. Verifying its token may have taken long,
    /// and the device may be on a later socket by now, which must not be displaced for
    /// one that nobody is on. Says whether the socket was admitted.
    pub(crate) async fn admit(
        &self,
        handle: &Arc<Handle>,
        device: DeviceAddress,
        mut has_left: impl FnMut() -> bool,
    ) -> bool {
        if has_left() {
            return false;
        }
        if let Some(displaced) = self.registry.enter(handle, device) {
            displaced.mailbox.post(Event::Displaced);
        }
        self.claim_unless(&mut has_left, handle, device).await;
        !has_left()
    }

    /// Writes the place of a socket, and displaces whoever held it.
    pub(crate) async fn claim(&self, handle: &Arc<Handle>, device: DeviceAddress) {
        self.claim_unless(|| false, handle, device).await;
    }

    async fn claim_unless(
        &self,
        mut has_left: impl FnMut() -> bool,
        handle: &Arc<Handle>,
        device: DeviceAddress,
    ) {
        if !self.is_current(handle, device) {
            return;
        }
        let ours = self.place(handle.connection);
        let Some(before) = self.ask(self.places.claim(device, &ours)).await else {
            return;
        };
        handle.set_placed();
        match self.registry.current(device) {
            Some(current) if current != handle.connection => {
                // A later socket of this process came in between, and may have written
                // its place before ours: what stands must be the later one.
                self.ask(self.places.claim(device, &self.place(current))).await;
            }
            _ => {
                let before = before.filter(|before| *before != ours);
                if has_left() {
                    self.give_back(device, before).await;
                } else {
                    self.displace(before).await;
                }
            }
        }
    }

    /// Gives a place that nobody needs back to whoever held it: most likely the later
    /// socket of the same device. Were that one gone too, hints would go nowhere until
    /// the place ends with its time or the device connects.
    async fn give_back(&self, device: DeviceAddress, before: Option<Place>) {
        if let Some(before) = before {
            self.ask(self.places.claim(device, &before)).await;
        }
    }

    /// Takes the place of a socket that ends out of Redis, unless another has it.
    pub(crate) async fn leave(&self, handle: &Handle, device: DeviceAddress) {
        if handle.is_placed() {
            self.ask(self.places.forget(device, &self.place(handle.connection))).await;
        }
    }

    pub(crate) fn place(&self, connection: ConnectionId) -> Place {
        Place { gateway: self.gateway.clone(), connection }
    }

    fn is_current(&self, handle: &Handle, device: DeviceAddress) -> bool {
        self.registry.current(device) == Some(handle.connection)
    }

    async fn displace(&self, before: Option<Place>) {
        let Some(Place { gateway, connection }) = before else {
            return;
        };
        if gateway == self.gateway {
            self.registry.post(connection, Event::Displaced);
        } else {
            let notice = Notice::Displaced { connection: connection.0 };
            self.ask(self.notices.publish(&gateway, &notice)).await;
        }
    }

    /// `None` where Redis fails, or takes too long.
    async fn ask<T, E>(&self, command: impl Future<Output = Result<T, E>>) -> Option<T> {
        let answer = timeout(self.patience, command).await.ok().and_then(Result::ok);
        if answer.is_none() {
            metrics::place_error();
        }
        answer
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt as _;
    use sotto_ids::{AccountId, DeviceId};
    use sotto_kit::config::Secret;
    use sotto_store::redis::{Redis, RedisConfig};

    use super::*;
    use crate::{config::tests::defaults, mailbox::Mailbox, registry::Registered};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// The test's Redis.
    pub(crate) async fn redis() -> Redis {
        #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
        let url =
            std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
        let config = RedisConfig { url: Secret::from_value(url), response_timeout: PATIENCE };
        sotto_store::redis::connect(&config).await.unwrap()
    }

    /// An admission with a registry of its own, on the test's Redis.
    pub(crate) async fn admission() -> Admission {
        let redis = redis().await;
        let places = Places::new(redis.clone(), Duration::from_secs(60));
        let notices = Notices::new(redis, places.clone());
        let gateway = "admission".to_owned();
        Admission { gateway, registry: Arc::default(), places, notices, patience: PATIENCE }
    }

    pub(crate) fn socket(admission: &Admission, connection: u64) -> Registered {
        let mailbox = Mailbox::new(defaults().mailbox);
        admission.registry.open(Handle::new(ConnectionId(connection), mailbox))
    }

    pub(crate) fn device(number: u8) -> DeviceAddress {
        DeviceAddress::new(AccountId::new([number; 32]).uuid(), DeviceId::FIRST)
    }

    async fn placed(admission: &Admission, device: DeviceAddress) -> Option<ConnectionId> {
        let found = admission.places.lookup_many(&[device]).await.unwrap().pop().flatten();
        found.map(|place| place.connection)
    }

    pub(crate) fn is_displaced(socket: &Registered) -> bool {
        let mut events = socket.handle().mailbox.take().events();
        events.any(|event| matches!(event, Event::Displaced))
    }

    #[tokio::test]
    async fn a_claim_that_was_overtaken_leaves_the_place_to_the_later_socket() {
        let (admission, device) = (admission().await, device(201));
        let (one, two) = (socket(&admission, 1), socket(&admission, 2));
        admission.registry.enter(one.handle(), device);
        let mut late = Box::pin(admission.claim(one.handle(), device));
        assert!((&mut late).now_or_never().is_none(), "on its way to Redis");

        admission.registry.enter(two.handle(), device);
        late.await;

        assert_eq!(placed(&admission, device).await, Some(ConnectionId(2)));
        assert!(!is_displaced(&two));
    }

    #[tokio::test]
    async fn a_socket_that_was_displaced_before_its_claim_writes_nothing() {
        let (admission, device) = (admission().await, device(202));
        let (one, two) = (socket(&admission, 1), socket(&admission, 2));
        admission.registry.enter(one.handle(), device);
        assert!(admission.admit(two.handle(), device, || false).await);

        admission.claim(one.handle(), device).await;

        assert_eq!(placed(&admission, device).await, Some(ConnectionId(2)));
        assert!(is_displaced(&one) && !is_displaced(&two));
    }

    #[tokio::test]
    async fn a_socket_whose_peer_is_gone_takes_no_place() {
        let (admission, device) = (admission().await, device(204));
        let (older, newer) = (socket(&admission, 1), socket(&admission, 2));
        assert!(admission.admit(newer.handle(), device, || false).await);

        assert!(!admission.admit(older.handle(), device, || true).await);

        assert_eq!(placed(&admission, device).await, Some(ConnectionId(2)));
        assert!(!is_displaced(&newer));
        admission.leave(newer.handle(), device).await;
    }

    #[tokio::test]
    async fn a_socket_whose_peer_goes_during_its_claim_gives_the_place_back() {
        let (here, there, device) = (admission().await, admission().await, device(205));
        let (older, newer) = (socket(&here, 1), socket(&there, 2));
        let gone = AtomicBool::new(false);
        let mut late =
            Box::pin(here.admit(older.handle(), device, || gone.load(Ordering::Relaxed)));
        assert!(there.admit(newer.handle(), device, || false).await);

        assert!((&mut late).now_or_never().is_none(), "on its way to Redis");
        gone.store(true, Ordering::Relaxed);

        assert!(!late.await);
        here.leave(older.handle(), device).await;
        assert_eq!(placed(&there, device).await, Some(ConnectionId(2)));
        there.leave(newer.handle(), device).await;
    }

    #[tokio::test]
    async fn leaving_forgets_only_the_own_place() {
        let (admission, device) = (admission().await, device(203));
        let (one, two) = (socket(&admission, 1), socket(&admission, 2));
        assert!(admission.admit(one.handle(), device, || false).await);
        assert!(admission.admit(two.handle(), device, || false).await);

        admission.leave(one.handle(), device).await;
        assert_eq!(placed(&admission, device).await, Some(ConnectionId(2)));
        admission.leave(two.handle(), device).await;
        assert_eq!(placed(&admission, device).await, None);
    }
}
