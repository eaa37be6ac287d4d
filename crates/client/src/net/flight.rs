//! Which sends are on their way, and whom nothing is sent to just now.
//!
//! Pure: it is told what happens and what time it is, and says what to do.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use sotto_ids::{AccountUuid, DeviceId};
use tokio::time::Instant;

/// What a server says of the devices that something was encrypted for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// Live, and left out.
    pub(super) missing: BTreeSet<DeviceId>,
    /// Not there, or with another registration id: a session with them is void.
    pub(super) void: BTreeSet<DeviceId>,
}

/// Introductions in a row, with nothing accepted in between, before there is a
/// pause. Two devices that join at once may take as many.
const MOST_STRIKES: u32 = 3;

/// A send on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) seq: u64,
    pub(super) peer: AccountUuid,
}

/// Why nothing is sent to a peer.
#[derive(Debug)]
enum Halt {
    /// Its devices are not those we knew. First all that is on its way to it has
    /// to come back, so that it is encrypted anew in order.
    Mismatch(Mismatch),
    /// Sessions with it are being opened.
    Introducing,
    /// Something did not work; not before this time.
    Until(Instant),
}

/// Sends on their way, and who is not sent to.
#[derive(Debug)]
pub(super) struct Flight {
    window: usize,
    next_frame: u64,
    sent: HashMap<u64, Sent>,
    halts: HashMap<AccountUuid, Halt>,
    /// How often a peer had other devices than we knew, since something was last
    /// accepted for it.
    strikes: HashMap<AccountUuid, u32>,
    paused_until: Option<Instant>,
    /// Something is to be sent again, and has to go before what was not sent yet. How
    /// much it is shows once all that is on its way has been answered.
    regroups: bool,
}

impl Flight {
    /// An empty flight of at most `window` sends. The numbers of its frames are
    /// even, so that other requests on the socket can have the odd ones.
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            next_frame: 2,
            sent: HashMap::new(),
            halts: HashMap::new(),
            strikes: HashMap::new(),
            paused_until: None,
            regroups: false,
        }
    }

    /// How many more may be sent now.
    pub(super) fn room(&self) -> usize {
        if self.is_paused() || (self.regroups && !self.sent.is_empty()) {
            return 0;
        }
        self.window.saturating_sub(self.sent.len())
    }

    /// Whether nothing is sent, to anybody.
    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Rows of the outbox that are on their way.
    pub(super) fn rows(&self) -> HashSet<u64> {
        self.sent.values().map(|sent| sent.seq).collect()
    }

    /// Peers that are not sent to.
    pub(super) fn halted(&self) -> HashSet<AccountUuid> {
        self.halts.keys().copied().collect()
    }

    /// A row goes out; under this number.
    pub(super) fn send(&mut self, sent: Sent) -> u64 {
        let frame = self.frame();
        self.regroups = false;
        self.sent.insert(frame, sent);
        frame
    }

    /// A number for another frame that is to be answered here.
    pub(super) fn frame(&mut self) -> u64 {
        let frame = self.next_frame;
        self.next_frame += 2;
        frame
    }

    /// The server answered a frame.
    pub(super) fn answered(&mut self, frame: u64) -> Option<Sent> {
        self.sent.remove(&frame)
    }

    /// The peer has other devices than we knew, or none that we know.
    pub(super) fn mismatch(&mut self, peer: AccountUuid, found: Mismatch) {
        let halt = self.halts.entry(peer).or_insert_with(|| Halt::Mismatch(Mismatch::default()));
        match halt {
            Halt::Mismatch(mismatch) => {
                mismatch.missing.extend(found.missing);
                mismatch.void.extend(found.void);
            }
            // A late answer to what was sent before; the next one will tell.
            Halt::Introducing => {}
            Halt::Until(_) => *halt = Halt::Mismatch(found),
        }
    }

    /// Something was accepted for this peer: its devices are as we know them.
    pub(super) fn accepted(&mut self, peer: AccountUuid) {
        self.strikes.remove(&peer);
    }

    /// Sessions were opened, and yet the server keeps naming other devices: going
    /// on at once would only use up prekeys.
    pub(super) fn goes_in_circles(&self, peer: AccountUuid) -> bool {
        self.strikes.get(&peer).is_some_and(|&strikes| strikes > MOST_STRIKES)
    }

    /// Peers with whom sessions are to be opened now: nothing is on its way to
    /// them any more.
    pub(super) fn introductions(&mut self) -> Vec<(AccountUuid, Mismatch)> {
        let busy: HashSet<_> = self.sent.values().map(|sent| sent.peer).collect();
        let mut due = Vec::new();
        for (peer, halt) in &mut self.halts {
            if let Halt::Mismatch(mismatch) = halt
                && !busy.contains(peer)
            {
                due.push((*peer, std::mem::take(mismatch)));
                *halt = Halt::Introducing;
                *self.strikes.entry(*peer).or_default() += 1;
            }
        }
        due
    }

    /// The peer can be sent to again.
    pub(super) fn resume(&mut self, peer: AccountUuid) {
        self.halts.remove(&peer);
    }

    /// The peer is not sent to before this time.
    pub(super) fn halt(&mut self, peer: AccountUuid, until: Instant) {
        self.halts.insert(peer, Halt::Until(until));
    }

    /// Nothing is sent for a while.
    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause;
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
        self.regroups = true;
    }

    /// Ends the halts and pauses whose time is up.
    pub(super) fn wake(&mut self, now: Instant) {
        self.halts.retain(|_, halt| !matches!(halt, Halt::Until(until) if *until <= now));
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
    }

    /// When there is something to wake for.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let halts = self.halts.values().filter_map(|halt| match halt {
            Halt::Until(until) => Some(*until),
            _ => None,
        });
        halts.chain(self.paused_until).min()
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::AccountId;

    use super::*;

    fn peer(number: u8) -> AccountUuid {
        AccountId::new([number; 32]).uuid()
    }

    fn missing(number: u32) -> Mismatch {
        Mismatch { missing: [DeviceId::try_from(number).unwrap()].into(), void: [].into() }
    }

    #[test]
    fn no_more_than_the_window_is_on_its_way() {
        let mut flight = Flight::new(2);

        let first = flight.send(Sent { seq: 1, peer: peer(1) });
        flight.send(Sent { seq: 2, peer: peer(1) });
        assert_eq!(flight.room(), 0);

        assert_eq!(flight.answered(first).unwrap().seq, 1);
        assert_eq!(flight.room(), 1);
        assert_eq!(flight.answered(first), None, "an answer counts once");
        assert_eq!(flight.rows(), [2].into());
    }

    #[test]
    fn devices_are_looked_up_once_all_that_was_on_its_way_has_come_back() {
        let mut flight = Flight::new(8);
        let frames: Vec<_> = (1..=3).map(|seq| flight.send(Sent { seq, peer: peer(1) })).collect();

        flight.answered(frames[0]);
        flight.mismatch(peer(1), missing(2));
        assert!(flight.introductions().is_empty(), "two more are on their way");
        flight.answered(frames[1]);
        flight.mismatch(peer(1), missing(3));
        flight.answered(frames[2]);

        let due = flight.introductions();
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].1.missing.len(), 2, "both answers count");
        assert!(flight.introductions().is_empty(), "once");
        assert_eq!(flight.halted(), [peer(1)].into());
        flight.resume(peer(1));
        assert!(flight.halted().is_empty());
    }

    #[test]
    fn a_server_that_is_never_content_is_noticed() {
        let mut flight = Flight::new(8);
        for _ in 0..=MOST_STRIKES {
            assert!(!flight.goes_in_circles(peer(1)));
            flight.mismatch(peer(1), missing(2));
            flight.introductions();
            flight.resume(peer(1));
        }
        assert!(flight.goes_in_circles(peer(1)));

        flight.accepted(peer(1));

        assert!(!flight.goes_in_circles(peer(1)));
    }

    #[test]
    fn other_peers_go_on_meanwhile() {
        let mut flight = Flight::new(8);
        flight.send(Sent { seq: 1, peer: peer(2) });

        flight.mismatch(peer(1), Mismatch::default());

        assert_eq!(flight.introductions().len(), 1);
        assert_eq!(flight.room(), 7);
    }

    /// I-3. It fails where only the pause is kept: 4 would go out before 2 and 3, of which
    /// nothing is known yet, and stay before them if they were refused as 1 was.
    #[test]
    fn after_a_refusal_nothing_new_goes_out_before_all_that_was_sent_is_answered() {
        let now = Instant::now();
        let mut flight = Flight::new(8);
        let frames: Vec<_> = (1..=3).map(|seq| flight.send(Sent { seq, peer: peer(1) })).collect();

        flight.answered(frames[0]);
        flight.pause(now, Duration::from_secs(1));
        flight.wake(now + Duration::from_secs(1));
        assert_eq!(flight.room(), 0, "two are on their way");
        flight.answered(frames[1]);
        flight.answered(frames[2]);

        assert_eq!(flight.room(), 8);
        flight.send(Sent { seq: 1, peer: peer(1) });
        assert_eq!(flight.room(), 7, "and on as before");
    }

    #[test]
    fn halts_and_pauses_end_with_time() {
        let now = Instant::now();
        let mut flight = Flight::new(8);
        flight.halt(peer(1), now + Duration::from_secs(2));
        flight.pause(now, Duration::from_secs(5));
        flight.pause(now, Duration::from_secs(1));

        assert_eq!(flight.room(), 0);
        assert_eq!(flight.next_wake(), Some(now + Duration::from_secs(2)));
        flight.wake(now + Duration::from_secs(2));
        assert!(flight.halted().is_empty());
        assert_eq!(flight.room(), 0, "the longer pause counts");
        flight.wake(now + Duration::from_secs(5));
        assert_eq!((flight.room(), flight.next_wake()), (8, None));
    }
}
