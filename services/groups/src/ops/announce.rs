use std::collections::HashSet;

use futures_util::StreamExt as _;
use sotto_ids::DeviceAddress;
use sotto_store::notices::Notice;

use super::Groups;

/// Notices that are on their way to Redis at the same time.
const AT_ONCE: usize = 32;

impl Groups {
    /// Tells devices that are connected that they came into a group, or left one. What does
    /// not get through they find out when they connect.
    pub(super) async fn tell_groups_changed(
        &self,
        devices: impl IntoIterator<Item = DeviceAddress>,
    ) {
        let devices: HashSet<_> = devices.into_iter().collect();
        let devices: Vec<_> = devices.into_iter().collect();
        if devices.is_empty() {
            return;
        }
        match self.places.lookup_many(&devices).await {
            Ok(places) => {
                let told = places.into_iter().flatten().map(async |place| {
                    let notice = Notice::GroupsChanged { connection: place.connection.0 };
                    self.notices.publish(&place.gateway, &notice).await.is_ok()
                });
                let lost = futures_util::stream::iter(told)
                    .buffer_unordered(AT_ONCE)
                    .filter(|told| std::future::ready(!told))
                    .count()
                    .await;
                crate::metrics::notices_lost(lost);
            }
            Err(_) => crate::metrics::notices_lost(devices.len()),
        }
    }
}
