//! What the fuzz targets reach. Nothing of it is in a build that is not for them.

use prost::Message as _;
use sotto_proto::messages as pb;

use crate::domain::{self, Retraction, Rules};

const NOW_MS: u64 = 1_750_000_000_000;

/// What a gateway passes on of a device.
pub fn submit(data: &[u8]) {
    let rules = Rules {
        clock_ahead_ms: 300_000,
        clock_behind_ms: 86_400_000,
        longest_ttl_ms: 2_592_000_000,
        ephemeral_bytes: 4096,
    };
    let Ok(batch) = pb::GatewayBatch::decode(data) else { return };
    for item in batch.items.into_iter().filter_map(|uplink| uplink.item) {
        match item {
            pb::uplink::Item::Submit(submit) => {
                if let Ok(send) = domain::check(submit, NOW_MS, &rules) {
                    // What is taken becomes one row for each of its devices.
                    let devices = send.messages.len();
                    assert_eq!(domain::rows(send, NOW_MS, &rules).len(), devices);
                }
            }
            pb::uplink::Item::Retract(retract) => drop(Retraction::check(retract)),
            pb::uplink::Item::Acknowledge(_) | pb::uplink::Item::Pull(_) => {}
        }
    }
}
