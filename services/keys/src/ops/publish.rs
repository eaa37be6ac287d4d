use sotto_identity::IdentityKey;
use sotto_ids::{DeviceAddress, limits::MAX_PREKEYS_PER_UPLOAD};
use sqlx::PgConnection;

use super::{Keys, off_the_async_threads};
use crate::{
    db,
    domain::{
        prekey::{BarePrekey, Kind, Prekey, RawPrekey, SignedPrekey},
        upload::{Sorted, UploadError, check_all, reject_duplicates, sort},
    },
    error::KeysError,
    metrics,
};

/// What became of an upload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Uploaded {
    /// How many keys lie on the shelf that did not before.
    pub(crate) stored: usize,
    /// How many lay there already.
    pub(crate) known: usize,
    /// The ids of those that were handed out or replaced before. The device must not
    /// publish them again; it keeps their private halves for messages on their way.
    pub(crate) spent: Vec<u32>,
}

impl Uploaded {
    fn add<K>(&mut self, kind: &'static str, sorted: &Sorted<K>) {
        metrics::prekeys_uploaded(kind, sorted.new.len(), sorted.known, sorted.spent.len());
        self.stored += sorted.new.len();
        self.known += sorted.known;
        self.spent.extend(&sorted.spent);
    }
}

impl Keys {
    /// Puts a signed EC prekey in the place of the one before.
    #[tracing::instrument(name = "keys.publish_signed_ec", skip_all)]
    pub(crate) async fn publish_signed_ec(
        &self,
        raw: RawPrekey,
        device: DeviceAddress,
    ) -> Result<Uploaded, KeysError> {
        let identity = self.identity_key(device).await?;
        let upload = check_all(&[raw], |raw| SignedPrekey::check_ec(raw, &identity))?;
        let now_ms = self.clock.now_ms();

        let mut tx = self.db.begin().await?;
        let highest = lock_shelf(device, &mut tx).await?;
        let stored = db::signed_ec_prekeys::find(device, &mut *tx).await?;
        let sorted = sort(upload, stored.as_slice(), highest.signed_ec)?;
        for prekey in &sorted.new {
            db::signed_ec_prekeys::replace(device, prekey, now_ms, &mut *tx).await?;
            db::shelves::raise(device, Kind::SignedEc, prekey.key_id, &mut *tx).await?;
        }
        let is_first = stored.is_none() && !sorted.new.is_empty();
        let is_ready =
            is_first && db::last_resort_kyber_prekeys::find(device, &mut *tx).await?.is_some();
        tx.commit().await?;

        let mut uploaded = Uploaded::default();
        uploaded.add("signed_ec", &sorted);
        if is_ready {
            self.tell_devices_changed(device.account).await;
        }
        Ok(uploaded)
    }

    /// Puts one-time EC prekeys on the shelf.
    #[tracing::instrument(name = "keys.publish_one_time_ec", skip_all)]
    pub(crate) async fn publish_one_time_ec(
        &self,
        raw: Vec<RawPrekey>,
        device: DeviceAddress,
    ) -> Result<Uploaded, KeysError> {
        check_size(raw.len())?;
        self.check_live(device).await?;
        let upload = check_all(&raw, BarePrekey::check)?;

        let mut tx = self.db.begin().await?;
        let highest = lock_shelf(device, &mut tx).await?;
        let stored = db::one_time_ec_prekeys::list(device, &ids(&upload), &mut *tx).await?;
        let sorted = sort(upload, &stored, highest.one_time_ec)?;
        if let Some(highest) = highest_id(&sorted.new) {
            let held = db::one_time_ec_prekeys::count(device, &mut *tx).await?;
            self.check_stock(held, sorted.new.len())?;
            db::one_time_ec_prekeys::insert(device, &sorted.new, &mut *tx).await?;
            db::shelves::raise(device, Kind::OneTimeEc, highest, &mut *tx).await?;
        }
        tx.commit().await?;

        let mut uploaded = Uploaded::default();
        uploaded.add("one_time_ec", &sorted);
        Ok(uploaded)
    }

    /// Puts one-time Kyber prekeys on the shelf, and a last-resort one in the place
    /// of the one before.
    ///
    /// libsignal looks up both by one id, so no id may stand for one of each at the
    /// same time.
    #[tracing::instrument(name = "keys.publish_kyber", skip_all)]
    pub(crate) async fn publish_kyber(
        &self,
        last_resort: Option<RawPrekey>,
        one_time: Vec<RawPrekey>,
        device: DeviceAddress,
    ) -> Result<Uploaded, KeysError> {
        check_size(one_time.len())?;
        let identity = self.identity_key(device).await?;
        let (last_resort, one_time) = off_the_async_threads(move || {
            let last_resort: Vec<_> = last_resort.into_iter().collect();
            reject_duplicates(last_resort.iter().chain(&one_time).map(|raw| raw.key_id))?;
            let check = |raw: &RawPrekey| SignedPrekey::check_kyber(raw, &identity);
            Ok((check_all(&last_resort, check)?, check_all(&one_time, check)?))
        })
        .await?;
        let now_ms = self.clock.now_ms();

        let mut tx = self.db.begin().await?;
        let highest = lock_shelf(device, &mut tx).await?;
        let stored_last = db::last_resort_kyber_prekeys::find(device, &mut *tx).await?;
        let ids_of_both = [ids(&last_resort), ids(&one_time)].concat();
        let stored = db::one_time_kyber_prekeys::list(device, &ids_of_both, &mut *tx).await?;
        reject_shared_ids(&last_resort, &stored)?;
        reject_shared_ids(&one_time, stored_last.as_slice())?;

        let sorted_last = sort(last_resort, stored_last.as_slice(), highest.last_resort_kyber)?;
        for prekey in &sorted_last.new {
            db::last_resort_kyber_prekeys::replace(device, prekey, now_ms, &mut *tx).await?;
            db::shelves::raise(device, Kind::LastResortKyber, prekey.key_id, &mut *tx).await?;
        }
        let sorted = sort(one_time, &stored, highest.one_time_kyber)?;
        if let Some(highest) = highest_id(&sorted.new) {
            let held = db::one_time_kyber_prekeys::count(device, &mut *tx).await?;
            self.check_stock(held, sorted.new.len())?;
            db::one_time_kyber_prekeys::insert(device, &sorted.new, &mut *tx).await?;
            db::shelves::raise(device, Kind::OneTimeKyber, highest, &mut *tx).await?;
        }
        let is_first = stored_last.is_none() && !sorted_last.new.is_empty();
        let is_ready = is_first && db::signed_ec_prekeys::find(device, &mut *tx).await?.is_some();
        tx.commit().await?;

        let mut uploaded = Uploaded::default();
        uploaded.add("last_resort_kyber", &sorted_last);
        uploaded.add("one_time_kyber", &sorted);
        if is_ready {
            self.tell_devices_changed(device.account).await;
        }
        Ok(uploaded)
    }

    /// The key that the chain says the device signs its prekeys with.
    async fn identity_key(&self, device: DeviceAddress) -> Result<IdentityKey, KeysError> {
        let found = self.check_live(device).await?;
        IdentityKey::try_from(found.identity_key.as_slice())
            .map_err(|_| KeysError::Damaged("identity key"))
    }

    fn check_stock(&self, held: i64, new: usize) -> Result<(), UploadError> {
        let stock = usize::from(self.rules.prekeys.stock);
        let held = usize::try_from(held).unwrap_or_default();
        if held + new > stock { Err(UploadError::ShelfFull { stock, held }) } else { Ok(()) }
    }
}

pub(super) async fn lock_shelf(
    device: DeviceAddress,
    tx: &mut PgConnection,
) -> Result<db::shelves::Highest, KeysError> {
    db::shelves::lock(device, tx).await?.ok_or(KeysError::DeviceRevoked)
}

const fn check_size(keys: usize) -> Result<(), UploadError> {
    let most = MAX_PREKEYS_PER_UPLOAD;
    if keys > most { Err(UploadError::TooMany { most }) } else { Ok(()) }
}

fn ids<K: Prekey>(prekeys: &[K]) -> Vec<i32> {
    prekeys.iter().map(Prekey::key_id).collect()
}

fn highest_id<K: Prekey>(prekeys: &[K]) -> Option<i32> {
    prekeys.iter().map(Prekey::key_id).max()
}

fn reject_shared_ids(
    upload: &[SignedPrekey],
    other_kind: &[SignedPrekey],
) -> Result<(), UploadError> {
    let taken = ids(other_kind);
    let key_ids: Vec<u32> =
        ids(upload).into_iter().filter(|id| taken.contains(id)).map(i32::unsigned_abs).collect();
    if key_ids.is_empty() { Ok(()) } else { Err(UploadError::Conflict { key_ids }) }
}
