//! How a session ends.

use std::time::{Duration, Instant};

use sotto_kit::clock::millis;
use tokio::time::timeout;

use super::{close::CloseCode, task::Session};
use crate::{
    metrics,
    transport::{Incoming, Transport},
};

/// How long a peer may take to see that the socket closes: a device that was revoked
/// is off it within a second, whatever it does.
const CLOSE_PATIENCE: Duration = Duration::from_millis(800);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// We close; the last frames are in the outbox.
    Ours(CloseCode),
    /// We let go of a socket that cannot be written to.
    Abandoned(CloseCode),
    /// The peer has closed; our answer is in the outbox.
    Peer,
    /// The connection is gone.
    Lost,
}

impl Ending {
    const fn reason(self) -> &'static str {
        match self {
            Self::Ours(code) | Self::Abandoned(code) => code.reason(),
            Self::Peer => "closed_by_peer",
            Self::Lost => "connection_lost",
        }
    }

    /// Whether the device may go on where it was on its next socket.
    const fn may_resume(self) -> bool {
        match self {
            Self::Ours(code) | Self::Abandoned(code) => {
                code.reconnect() && !matches!(code, CloseCode::TokenExpired)
            }
            Self::Peer | Self::Lost => true,
        }
    }
}

/// What the one log line of a session says.
#[derive(Debug)]
pub(super) struct Tally {
    since: Instant,
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) acknowledged: u64,
}

impl Tally {
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), sent: 0, delivered: 0, acknowledged: 0 }
    }
}

impl<T: Transport> Session<T> {
    /// Says what there is to say, gives up what the socket held, and lets go of it.
    pub(super) async fn finish(self, ending: Ending) {
        let Self {
            gateway,
            registered,
            mut socket,
            mut outbox,
            line,
            membership,
            ticket,
            tally,
            encoding,
            ..
        } = self;
        let handle = registered.handle();
        // The audit no longer writes its place anew. The registry has it until all is
        // done, since a drain waits for that.
        registered.leave();
        drop(membership);

        let take_leave = async {
            if matches!(ending, Ending::Abandoned(_) | Ending::Lost) {
                return;
            }
            let mut written = Ok(());
            while let Some(wire) = outbox.take()
                && written.is_ok()
            {
                written = socket.write(wire).await;
            }
            if written.is_ok() && matches!(ending, Ending::Ours(_)) {
                // A connection that ends with bytes unread is reset, and the Close frame
                // may be lost with it. So the peer closes first, if it can.
                closed_by_peer(&mut socket).await;
            }
        };
        let forget_place = async {
            if let Some(line) = &line {
                gateway.admission.leave(handle, line.device()).await;
            }
        };
        let leave_ticket = async {
            match ticket {
                Some(ticket) if ending.may_resume() => gateway.tickets.outlive(ticket).await,
                Some(ticket) => gateway.tickets.void(ticket).await,
                None => {}
            }
        };
        let (_in_time, (), ()) =
            tokio::join!(timeout(CLOSE_PATIENCE, take_leave), forget_place, leave_ticket);
        drop(socket);

        gateway.meters.frames_out.increment(outbox.take_count());
        metrics::closed(ending.reason());
        tracing::info!(
            connection = %handle.connection,
            encoding = encoding.label(),
            sent = tally.sent,
            delivered = tally.delivered,
            acknowledged = tally.acknowledged,
            duration_ms = millis(tally.since.elapsed()),
            close = ending.reason(),
            "session ended"
        );
    }
}

/// Reads, and passes over, what the peer still sends.
async fn closed_by_peer(socket: &mut impl Transport) {
    while !matches!(socket.next().await, Ok(Incoming::Close) | Err(_)) {}
}
