//! Notices: what other processes have to say about sockets of this one.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use rand::{Rng as _, rngs::StdRng};
use sotto_store::notices::Notice;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission, audit::Audit, groups::Groups, resync::Resync, session::io::Event,
};

/// The pause before listening again, doubled from the first to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Listens until `stopped`, and hands each notice to its socket.
///
/// Where listening had to begin anew, notices may have been lost and Redis may have
/// forgotten places: an audit finds out. Places that Redis still has could not be
/// looked up in the meantime, so hints may be lost as well: every queue is read, and all
/// devices' groups are asked for.
pub(crate) async fn listen(
    admission: Arc<Admission>,
    audit: Arc<Audit>,
    resync: Arc<Resync>,
    groups: Arc<Groups>,
    stopped: CancellationToken,
    mut rng: StdRng,
) {
    let listen = async {
        let mut pause = BACKOFF_MIN;
        let mut again = false;
        loop {
            if let Ok(mut notices) = admission.notices.subscribe(&admission.gateway).await {
                pause = BACKOFF_MIN;
                if again {
                    audit.request();
                    resync.request();
                    groups.list_all();
                }
                while let Some(notice) = notices.next().await {
                    if let Notice::GroupsChanged { .. } = notice {
                        groups.changed(notice.connection());
                    } else if let Some(event) = event(&notice) {
                        admission.registry.post(notice.connection(), event);
                    }
                }
            }
            again = true;
            tracing::warn!("notices cannot be heard");
            tokio::time::sleep(pause.mul_f64(rng.random_range(0.5..1.0))).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    };
    stopped.run_until_cancelled(listen).await;
}

fn event(notice: &Notice) -> Option<Event> {
    Some(match *notice {
        Notice::Displaced { .. } => Event::Displaced,
        Notice::Revoked { .. } => Event::Revoked,
        Notice::PrekeysLow { one_time_ec, one_time_kyber, .. } => {
            Event::PrekeysLow { one_time_ec, one_time_kyber }
        }
        Notice::KeyPackagesLow { key_packages, .. } => Event::KeyPackagesLow { key_packages },
        Notice::GroupsChanged { .. } => return None,
    })
}
