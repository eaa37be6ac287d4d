//! The sockets of this process: by their connection, and by the device on them.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use dashmap::{DashMap, mapref::entry::Entry};
use sotto_ids::{ConnectionId, DeviceAddress};

use crate::{mailbox::Mailbox, metrics, session::io::Event};

/// One open socket, as the rest of the process sees it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) connection: ConnectionId,
    pub(crate) mailbox: Mailbox,
    device: OnceLock<DeviceAddress>,
    placed: AtomicBool,
}

impl Handle {
    pub(crate) fn new(connection: ConnectionId, mailbox: Mailbox) -> Arc<Self> {
        let (device, placed) = (OnceLock::new(), AtomicBool::new(false));
        Arc::new(Self { connection, mailbox, device, placed })
    }

    /// The device on it, once it has shown a token.
    pub(crate) fn device(&self) -> Option<DeviceAddress> {
        self.device.get().copied()
    }

    /// Whether its place has been written to Redis.
    pub(crate) fn is_placed(&self) -> bool {
        self.placed.load(Ordering::Acquire)
    }

    pub(crate) fn set_placed(&self) {
        self.placed.store(true, Ordering::Release);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_connection: DashMap<ConnectionId, Arc<Handle>>,
    by_device: DashMap<DeviceAddress, ConnectionId>,
}

impl Registry {
    /// Adds a socket for as long as the guard lives.
    pub(crate) fn open(self: &Arc<Self>, handle: Arc<Handle>) -> Registered {
        self.by_connection.insert(handle.connection, handle.clone());
        metrics::connections().increment(1.0);
        Registered { registry: self.clone(), handle }
    }

    /// Makes a socket the one of its device, and returns the one that was it.
    pub(crate) fn enter(&self, handle: &Handle, device: DeviceAddress) -> Option<Arc<Handle>> {
        let _ = handle.device.set(device);
        let before = self.by_device.insert(device, handle.connection)?;
        self.find(before).filter(|before| before.connection != handle.connection)
    }

    /// The socket of a device.
    pub(crate) fn current(&self, device: DeviceAddress) -> Option<ConnectionId> {
        self.by_device.get(&device).map(|connection| *connection)
    }

    /// Puts an event into the mailbox of a socket. Says whether the socket is here.
    pub(crate) fn post(&self, connection: ConnectionId, event: Event) -> bool {
        // Posting takes no lock of the registry, so it may happen under one.
        let Some(handle) = self.by_connection.get(&connection) else {
            return false;
        };
        handle.mailbox.post(event);
        true
    }

    /// All sockets that are open now.
    pub(crate) fn handles(&self) -> Vec<Arc<Handle>> {
        self.by_connection.iter().map(|entry| entry.value().clone()).collect()
    }

    /// How many sockets are open.
    pub(crate) fn len(&self) -> usize {
        self.by_connection.len()
    }

    fn find(&self, connection: ConnectionId) -> Option<Arc<Handle>> {
        self.by_connection.get(&connection).map(|entry| entry.value().clone())
    }

    fn leave(&self, handle: &Handle) {
        // A socket that ends slowly must not unhook the one that replaced it.
        if let Some(device) = handle.device()
            && let Entry::Occupied(entry) = self.by_device.entry(device)
            && *entry.get() == handle.connection
        {
            entry.remove();
        }
    }
}

/// Keeps a socket in the registry, and takes it out when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    handle: Arc<Handle>,
}

impl Registered {
    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Stops being the socket of its device, if it is.
    pub(crate) fn leave(&self) {
        self.registry.leave(&self.handle);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.leave(&self.handle);
        self.registry.by_connection.remove(&self.handle.connection);
        metrics::connections().decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::{AccountId, DeviceId};

    use super::*;
    use crate::config::tests::defaults;

    fn device(number: u8) -> DeviceAddress {
        DeviceAddress::new(AccountId::new([number; 32]).uuid(), DeviceId::FIRST)
    }

    fn open(registry: &Arc<Registry>, connection: u64) -> Registered {
        registry.open(Handle::new(ConnectionId(connection), Mailbox::new(defaults().mailbox)))
    }

    #[test]
    fn a_later_socket_of_a_device_displaces_the_one_before() {
        let registry = Arc::new(Registry::default());
        let (first, second) = (open(&registry, 1), open(&registry, 2));

        assert!(registry.enter(first.handle(), device(1)).is_none());
        let displaced = registry.enter(second.handle(), device(1)).unwrap();

        assert_eq!(displaced.connection, ConnectionId(1));
        assert_eq!(registry.current(device(1)), Some(ConnectionId(2)));
    }

    #[test]
    fn a_socket_that_ends_late_does_not_unhook_its_successor() {
        let registry = Arc::new(Registry::default());
        let (first, second) = (open(&registry, 1), open(&registry, 2));
        registry.enter(first.handle(), device(1));
        registry.enter(second.handle(), device(1));

        drop(first);

        assert_eq!(registry.current(device(1)), Some(ConnectionId(2)));
        drop(second);
        assert_eq!(registry.current(device(1)), None);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn entering_twice_displaces_nobody() {
        let registry = Arc::new(Registry::default());
        let first = open(&registry, 1);
        registry.enter(first.handle(), device(1));

        assert!(registry.enter(first.handle(), device(1)).is_none());
    }

    #[test]
    fn an_event_for_a_socket_that_is_gone_goes_nowhere() {
        let registry = Arc::new(Registry::default());
        let first = open(&registry, 1);
        assert!(registry.post(ConnectionId(1), Event::Tick));

        drop(first);

        assert!(!registry.post(ConnectionId(1), Event::Tick));
    }

    #[test]
    fn sockets_that_come_and_go_at_once_leave_one_per_device() {
        let registry = Arc::new(Registry::default());
        let kept: Vec<Registered> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..40_u64)
                .map(|number| {
                    let registry = registry.clone();
                    scope.spawn(move || {
                        let mut kept = None;
                        for round in 0..50 {
                            let socket = open(&registry, number * 1000 + round);
                            registry
                                .enter(socket.handle(), device(u8::try_from(number % 4).unwrap()));
                            kept = Some(socket);
                        }
                        kept.unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert_eq!(registry.len(), 40);
        for number in 0..4 {
            let current = registry.current(device(number)).unwrap();
            assert!(kept.iter().any(|socket| socket.handle().connection == current));
        }
        drop(kept);
        assert!(registry.by_device.is_empty() && registry.by_connection.is_empty());
    }
}
