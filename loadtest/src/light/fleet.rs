use std::sync::Arc;

use anyhow::Context as _;
use sotto_testkit::{Cluster, wait};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    pool::{Member, Pool},
    seen::Seen,
    session::{Order, Seat, Session},
};

/// How long all devices may take to be connected.
const CONNECTED_WITHIN: std::time::Duration = std::time::Duration::from_mins(3);

/// Light devices that are connected, and stay so. They end with the handle.
#[derive(Debug)]
pub struct Fleet {
    desks: Vec<mpsc::Sender<Order>>,
    seen: Arc<Seen>,
    _sessions: JoinSet<()>,
}

/// How the devices of a fleet behave.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// How many other accounts each device writes to.
    pub peers: usize,
    /// Bytes of a ciphertext.
    pub length: usize,
    /// Messages that may be ordered of a device before it has written them.
    pub orders: usize,
    /// Sends of a device that may be without an answer. With one, what it writes cannot
    /// overtake itself.
    pub window: usize,
    /// The gateway that all of them try first; without one they spread over all.
    pub first_gateway: Option<usize>,
}

impl Fleet {
    /// Connects every device of a pool, and waits until all are. They write to accounts of
    /// the pool `to`, which may be the same.
    ///
    /// # Errors
    ///
    /// When some do not get there.
    pub async fn connect(
        pool: &Pool,
        to: &Pool,
        manner: Manner,
        cluster: &Cluster,
        seen: &Arc<Seen>,
    ) -> anyhow::Result<Self> {
        let urls = cluster.socket_urls();
        let gateways: Vec<_> = urls.iter().map(|url| url.parse()).collect::<Result<Vec<_>, _>>()?;
        let gateways: Vec<_> = gateways.into_iter().enumerate().collect();
        let (mut desks, mut sessions) = (Vec::new(), JoinSet::new());
        let before = seen.connected();
        let count = to.members().len();
        for (number, account) in pool.devices() {
            let member = pool.members().get(account).context("a device belongs to an account")?;
            let first = manner.first_gateway.unwrap_or(usize::try_from(number)?);
            let mut gateways = gateways.clone();
            let turns = first % gateways.len().max(1);
            gateways.rotate_left(turns);
            let device = usize::try_from(number - member.first_number())?;
            // Those that follow in the row: so each account is written to by as many.
            let peers = (1..=manner.peers.min(count))
                .filter_map(|place| to.members().get((account + place) % count))
                .map(Member::peer);
            let seat = Seat {
                number,
                token: member.token(device).context("each device is logged in")?.to_owned(),
                gateways,
                peers: peers.collect(),
                length: manner.length,
                window: manner.window,
            };
            let (desk, session) = Session::new(seat, manner.orders, Arc::clone(seen));
            desks.push(desk);
            sessions.spawn(session.run());
        }
        let wanted = before + desks.len();
        wait::until(CONNECTED_WITHIN, "all devices to be connected", || async {
            let connected = seen.connected();
            if connected >= wanted { Ok(()) } else { Err((connected, seen.troubles())) }
        })
        .await?;
        Ok(Self { desks, seen: Arc::clone(seen), _sessions: sessions })
    }

    /// How many devices it has.
    pub fn len(&self) -> usize {
        self.desks.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.desks.is_empty()
    }

    /// What its devices have seen.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Has a device write a message, without waiting. `false` if it has too many orders
    /// already.
    pub fn order(&self, device: usize, order: Order) -> bool {
        self.desks.get(device).is_some_and(|desk| desk.try_send(order).is_ok())
    }

    /// Has a device write a message, once it has room for another order. For closed loops:
    /// the time it is meant for is when there is room.
    pub async fn order_when_possible(&self, device: usize, peer: usize) {
        if let Some(desk) = self.desks.get(device)
            && let Ok(room) = desk.reserve().await
        {
            room.send(Order { peer, intended: tokio::time::Instant::now() });
        }
    }
}
