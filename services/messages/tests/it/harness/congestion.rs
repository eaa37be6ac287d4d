use sotto_messages::MessagesConfig;
use sotto_proto::socket::MessageClass;
use sqlx::PgPool;

use super::{Answer, Device, Letter, Link, Replica, Stage, gateway};

/// A gateway that does not read: its window fills, and then its queue at the replica, which
/// is short. Bob's socket is there, and Alice's at another one.
pub(crate) struct Congestion {
    pub(crate) stage: Stage,
    pub(crate) replica: Replica,
    pub(crate) slow_name: String,
    pub(crate) slow: Link,
    pub(crate) link: Link,
    pub(crate) alice: Device,
    pub(crate) bob: Device,
}

impl Congestion {
    pub(crate) async fn set(db: PgPool, change: impl FnOnce(&mut MessagesConfig)) -> Self {
        let mut stage = Stage::set(db).await;
        let replica = stage
            .replica_with(|config| {
                config.downlink.deliveries = 4;
                change(config);
            })
            .await;
        let slow_name = gateway();
        let slow = Link::attach(&replica, &slow_name).await;
        let link = Link::attach(&replica, &gateway()).await;
        let (alice, bob) = (stage.account(1)[0], stage.account(1)[0]);
        stage.online(bob, &slow_name, 5).await;
        Self { stage, replica, slow_name, slow, link, alice, bob }
    }

    /// The `n`th letter from Alice to Bob.
    pub(crate) fn letter(&self, n: u64) -> Letter {
        Letter::new(self.alice, &[self.bob], self.stage.now_ms() + n)
    }

    /// Sends 150 letters of 64 KiB, for which there is no room on the way.
    pub(crate) async fn fill_up(&mut self, class: MessageClass) {
        for n in 0..150 {
            let large = self.letter(n).class(class).body(vec![1; 64 * 1024]);
            assert_eq!(self.link.send(&large).await, Answer::Accepted);
        }
    }
}
