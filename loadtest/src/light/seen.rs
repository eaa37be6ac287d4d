use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{latency::Latency, oracle::Oracle};

/// What all light devices of a run have seen.
#[derive(Debug)]
pub struct Seen {
    /// Told of every message.
    pub oracle: Arc<Oracle>,
    /// From when a message was meant to be written to when it was there.
    pub delivery: Latency,
    /// From when a message was meant to be written to when it was accepted.
    pub acceptance: Latency,
    accepted_sends: AtomicU64,
    redelivered: AtomicU64,
    connected: AtomicUsize,
    arrivals: Mutex<Vec<Arrival>>,
    troubles: Mutex<BTreeMap<String, u64>>,
}

/// A device that has got a socket.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Which device.
    pub device: u32,
    /// At which gateway.
    pub gateway: usize,
    /// When the gateway said hello.
    pub at: Instant,
    /// After how long it was told to come back by the socket before, where that said
    /// goodbye.
    pub told: Option<Duration>,
}

impl Seen {
    /// Nothing yet.
    pub fn new(oracle: Arc<Oracle>) -> Self {
        Self {
            oracle,
            delivery: Latency::new(),
            acceptance: Latency::new(),
            accepted_sends: AtomicU64::new(0),
            redelivered: AtomicU64::new(0),
            connected: AtomicUsize::new(0),
            arrivals: Mutex::default(),
            troubles: Mutex::default(),
        }
    }

    /// Sends that were accepted, each counted once however many devices it was for.
    pub fn accepted_sends(&self) -> u64 {
        self.accepted_sends.load(Ordering::Relaxed)
    }

    /// Envelopes that came again with the same id, which a device drops.
    pub fn redelivered(&self) -> u64 {
        self.redelivered.load(Ordering::Relaxed)
    }

    /// Devices that are connected now.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Every time that a device got a socket.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock_arrivals().clone()
    }

    /// What was not as it should be: how often, by its reason.
    pub fn troubles(&self) -> BTreeMap<String, u64> {
        self.lock_troubles().clone()
    }

    /// Forgets troubles so far: they were of the preparations.
    pub fn forget_troubles(&self) {
        self.lock_troubles().clear();
    }

    pub(super) fn arrived(&self, arrival: Arrival) {
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.lock_arrivals().push(arrival);
    }

    pub(super) fn left(&self) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn accepted(&self, took: Duration) {
        self.accepted_sends.fetch_add(1, Ordering::Relaxed);
        self.acceptance.record(took);
    }

    pub(super) fn came_again(&self) {
        self.redelivered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn trouble(&self, what: String) {
        *self.lock_troubles().entry(what).or_default() += 1;
    }

    fn lock_arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_troubles(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
