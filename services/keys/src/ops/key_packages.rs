use std::collections::HashSet;

use sotto_ids::{DeviceAddress, limits::MAX_KEY_PACKAGES_PER_UPLOAD};
use sotto_kit::auth::Caller;
use sotto_mls::{LeafId, identity::Claim};
use sqlx::PgConnection;

use super::{Keys, off_the_async_threads, publish::lock_shelf};
use crate::{
    db,
    domain::{
        bigint,
        key_package::{KeyPackage, Lifetimes},
        key_package_upload::{KeyPackageError, RawUpload, Upload},
    },
    error::KeysError,
    metrics,
};

/// What became of an upload of KeyPackages.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadedKeyPackages {
    /// How many lie on the shelf that did not before.
    pub(crate) stored: usize,
    /// How many lay there already.
    pub(crate) known: usize,
    /// How many were handed out or replaced before. They are not stored again.
    pub(crate) spent: usize,
}

/// How many KeyPackages of a device can be handed out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyPackageStock {
    pub(crate) one_time: i64,
    pub(crate) has_last_resort: bool,
}

impl Keys {
    /// Puts one-time KeyPackages on the caller's shelf, and a last-resort one in the place of
    /// the one before.
    ///
    /// Each is verified, and certified by the chain: its leaf names the caller, and signs
    /// with the MLS key that the chain has for it.
    #[tracing::instrument(name = "keys.publish_key_packages", skip_all)]
    pub(crate) async fn publish_key_packages(
        &self,
        raw: RawUpload,
        caller: &Caller,
    ) -> Result<UploadedKeyPackages, KeysError> {
        let most = MAX_KEY_PACKAGES_PER_UPLOAD;
        if raw.one_time.len() > most {
            return Err(KeyPackageError::TooMany { most }.into());
        }
        let device = caller.device;
        let signature_key = self.mls_key(device).await?;
        let leaf = LeafId::new(caller.account_id, device.device);
        let owner = Claim { leaf, signature_key };
        let lifetimes = self.key_package_lifetimes();
        let upload =
            off_the_async_threads(move || Ok(Upload::check(&raw, owner, &lifetimes)?)).await?;

        let mut tx = self.db.begin().await?;
        lock_shelf(device, &mut tx).await?;
        let one_time = self.store_one_time(upload.one_time, device, &lifetimes, &mut tx).await?;
        let last_resort = match &upload.last_resort {
            Some(package) => store_last_resort(package, device, &mut tx).await?,
            None => UploadedKeyPackages::default(),
        };
        tx.commit().await?;

        for (kind, uploaded) in [("one_time", one_time), ("last_resort", last_resort)] {
            let UploadedKeyPackages { stored, known, spent } = uploaded;
            metrics::key_packages_uploaded(kind, stored, known, spent);
        }
        Ok(UploadedKeyPackages {
            stored: one_time.stored + last_resort.stored,
            known: one_time.known + last_resort.known,
            spent: one_time.spent + last_resort.spent,
        })
    }

    /// How much of what the caller has published can be handed out.
    pub(super) async fn count_key_packages(
        &self,
        device: DeviceAddress,
    ) -> Result<KeyPackageStock, KeysError> {
        let over_at_ms = self.key_package_lifetimes().over_at_ms();
        let mut connection = self.db.acquire().await?;
        let one_time =
            db::one_time_key_packages::count(device, over_at_ms, &mut *connection).await?;
        let last_resort = db::last_resort_key_packages::find(device, &mut *connection).await?;
        let is_good = |not_after_ms: i64| not_after_ms > bigint(over_at_ms);
        let has_last_resort = last_resort.is_some_and(|found| is_good(found.not_after_ms));
        Ok(KeyPackageStock { one_time, has_last_resort })
    }

    /// Deletes KeyPackages that are over, and forgets those that were spent and are. At most
    /// so many of each. Says how many there were, and whether there may be more.
    pub(crate) async fn sweep_key_packages(&self) -> Result<(u64, bool), KeysError> {
        let limit = self.rules.key_packages.upkeep_batch;
        let over_at_ms = self.key_package_lifetimes().over_at_ms();
        // A process whose clock is behind takes for a while what ours calls over.
        let forget_ms = self.clock.now_ms().saturating_sub(DAY_MS);
        let deleted = [
            db::one_time_key_packages::sweep(over_at_ms, limit, &self.db).await?,
            db::last_resort_key_packages::sweep(over_at_ms, limit, &self.db).await?,
        ];
        let forgotten = db::spent_key_packages::sweep(forget_ms, limit, &self.db).await?;
        let is_full = |count: &u64| *count == u64::from(limit);
        let more = deleted.iter().chain([&forgotten]).any(is_full);
        Ok((deleted.iter().sum(), more))
    }

    pub(super) fn key_package_lifetimes(&self) -> Lifetimes {
        Lifetimes {
            now_ms: self.clock.now_ms(),
            longest: self.rules.key_packages.longest_life,
            margin: self.rules.key_packages.margin,
        }
    }

    /// The key that the chain says the device signs with in groups.
    async fn mls_key(&self, device: DeviceAddress) -> Result<[u8; 32], KeysError> {
        if let Some(key) = self.check_live(device).await?.mls_key {
            return Ok(key);
        }
        let of_chain = self.mls_keys_of_chain(device.account).await?;
        of_chain.get(&device.device).copied().ok_or(KeysError::Damaged("device"))
    }

    async fn store_one_time(
        &self,
        upload: Vec<KeyPackage>,
        device: DeviceAddress,
        lifetimes: &Lifetimes,
        tx: &mut PgConnection,
    ) -> Result<UploadedKeyPackages, KeysError> {
        if upload.is_empty() {
            return Ok(UploadedKeyPackages::default());
        }
        let refs: Vec<_> = upload.iter().map(|package| package.reference.to_vec()).collect();
        // In this order: a claim in between moves one from here to there, and is seen twice.
        let held = db::one_time_key_packages::list_refs(device, &refs, &mut *tx).await?;
        let spent = db::spent_key_packages::list_refs(device, &refs, &mut *tx).await?;
        let held: HashSet<_> = held.into_iter().collect();
        let spent: HashSet<_> = spent.into_iter().filter(|spent| !held.contains(spent)).collect();
        let new: Vec<_> = upload
            .into_iter()
            .filter(|package| {
                !held.contains(&package.reference) && !spent.contains(&package.reference)
            })
            .collect();
        if !new.is_empty() {
            let over_at_ms = lifetimes.over_at_ms();
            db::one_time_key_packages::delete_over(device, over_at_ms, &mut *tx).await?;
            let on_shelf = db::one_time_key_packages::count(device, 0, &mut *tx).await?;
            self.check_room(on_shelf, new.len())?;
            db::one_time_key_packages::insert(device, &new, &mut *tx).await?;
        }
        Ok(UploadedKeyPackages { stored: new.len(), known: held.len(), spent: spent.len() })
    }

    fn check_room(&self, held: i64, new: usize) -> Result<(), KeyPackageError> {
        let stock = usize::from(self.rules.key_packages.stock);
        let held = usize::try_from(held).unwrap_or_default();
        if held + new > stock { Err(KeyPackageError::ShelfFull { stock, held }) } else { Ok(()) }
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

async fn store_last_resort(
    package: &KeyPackage,
    device: DeviceAddress,
    tx: &mut PgConnection,
) -> Result<UploadedKeyPackages, KeysError> {
    let before = db::last_resort_key_packages::find(device, &mut *tx).await?;
    if before.is_some_and(|before| before.reference == package.reference) {
        return Ok(UploadedKeyPackages { known: 1, ..UploadedKeyPackages::default() });
    }
    let refs = [package.reference.to_vec()];
    if !db::spent_key_packages::list_refs(device, &refs, &mut *tx).await?.is_empty() {
        return Ok(UploadedKeyPackages { spent: 1, ..UploadedKeyPackages::default() });
    }
    if let Some(before) = before {
        db::spent_key_packages::insert(device, before, &mut *tx).await?;
    }
    db::last_resort_key_packages::replace(device, package, &mut *tx).await?;
    Ok(UploadedKeyPackages { stored: 1, ..UploadedKeyPackages::default() })
}
