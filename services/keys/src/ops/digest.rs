use sotto_identity::prekeys::Prekeys;
use sotto_ids::DeviceAddress;

use super::Keys;
use crate::{
    db,
    domain::prekey::{BarePrekey, SignedPrekey},
    error::KeysError,
};

/// What lies on a shelf: which ids, and the digest of the keys under them.
#[derive(Debug)]
pub(crate) struct Published {
    /// As `sotto_identity::prekeys` makes it.
    pub(crate) digest: [u8; 32],
    pub(crate) signed_ec: Option<u32>,
    pub(crate) last_resort_kyber: Option<u32>,
    /// By rising ids, as the next.
    pub(crate) one_time_ec: Vec<u32>,
    pub(crate) one_time_kyber: Vec<u32>,
}

impl Keys {
    /// Says what the caller's own shelf holds, so that the device can compare.
    ///
    /// The ids are told beside the digest, since a device cannot know which of its
    /// one-time keys were handed out. A key that is handed out while this runs may be
    /// in it or not.
    #[tracing::instrument(name = "keys.digest_prekeys", skip_all)]
    pub(crate) async fn digest_prekeys(
        &self,
        device: DeviceAddress,
    ) -> Result<Published, KeysError> {
        self.check_live(device).await?;
        let mut connection = self.db.acquire().await?;
        let signed_ec = db::signed_ec_prekeys::find(device, &mut *connection).await?;
        let last_resort = db::last_resort_kyber_prekeys::find(device, &mut *connection).await?;
        let one_time_ec = db::one_time_ec_prekeys::list_all(device, &mut *connection).await?;
        let one_time_kyber = db::one_time_kyber_prekeys::list_all(device, &mut *connection).await?;
        drop(connection);

        let prekeys = Prekeys {
            signed_ec: signed_ec.as_ref().map(signed),
            last_resort_kyber: last_resort.as_ref().map(signed),
            one_time_ec: one_time_ec.iter().map(bare).collect(),
            one_time_kyber: one_time_kyber.iter().map(bare).collect(),
        };
        let ids = |keys: &[(u32, &[u8])]| keys.iter().map(|(key_id, _)| *key_id).collect();
        Ok(Published {
            digest: prekeys.digest(),
            signed_ec: prekeys.signed_ec.map(|(key_id, _)| key_id),
            last_resort_kyber: prekeys.last_resort_kyber.map(|(key_id, _)| key_id),
            one_time_ec: ids(&prekeys.one_time_ec),
            one_time_kyber: ids(&prekeys.one_time_kyber),
        })
    }
}

fn signed(prekey: &SignedPrekey) -> (u32, &[u8]) {
    (prekey.key_id.unsigned_abs(), &prekey.public_key)
}

fn bare(prekey: &BarePrekey) -> (u32, &[u8]) {
    (prekey.key_id.unsigned_abs(), &prekey.public_key)
}
