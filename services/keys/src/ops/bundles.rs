use std::time::Instant;

use futures_util::future::join;
use prost::Message as _;
use sotto_identity::SignedOp;
use sotto_ids::{AccountId, DeviceAddress, DeviceId};
use sotto_kit::{
    auth::Caller,
    limits::{Class, Subject, Take},
};

use super::{Keys, liveness};
use crate::{
    db::{self, bundles::Bundle},
    domain::{
        Head,
        account_ref::AccountRef,
        prekey::{BarePrekey, SignedPrekey},
    },
    error::KeysError,
    metrics,
};

/// What a caller wants of an account.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The devices; all of them where it is not given.
    pub(crate) devices: Option<Vec<DeviceId>>,
    /// The newest op that the caller has, where it wants those after it.
    pub(crate) have: Option<u64>,
}

/// The bundles of an account, and what the caller needs to check them by.
#[derive(Debug)]
pub(crate) struct Bundles {
    pub(crate) account_id: AccountId,
    pub(crate) head: Head,
    pub(crate) ops: Vec<SignedOp>,
    pub(crate) devices: Vec<DeviceBundle>,
}

/// What a stranger needs to begin a session with one device.
#[derive(Debug)]
pub(crate) struct DeviceBundle {
    pub(crate) device: DeviceId,
    pub(crate) registration_id: u32,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signed_ec: SignedPrekey,
    pub(crate) one_time_ec: Option<BarePrekey>,
    pub(crate) kyber: SignedPrekey,
    /// Whether others may get the same Kyber key.
    pub(crate) kyber_is_last_resort: bool,
}

impl Keys {
    /// Hands out the bundles of an account, and with each a one-time key of each kind.
    ///
    /// Where devices are not named it is all that are ready, but for the caller
    /// itself. The keys are gone once this returns: a caller that never hears the
    /// answer has used them up. That is the safe side, as the other choice would give
    /// one key to two callers. A request that is refused uses up nothing.
    ///
    /// A device that asks too often for one account is refused, lest it drain the
    /// account's one-time keys.
    #[tracing::instrument(name = "keys.fetch_bundles", skip_all)]
    pub(crate) async fn fetch_bundles(
        &self,
        account: AccountRef,
        wanted: Wanted,
        caller: &Caller,
    ) -> Result<Bundles, KeysError> {
        let started = Instant::now();
        let now_ms = self.clock.now_ms();
        self.check_reach(account, caller, now_ms).await?;
        let only: Option<Vec<i16>> =
            wanted.devices.as_ref().map(|ids| ids.iter().map(|id| id.as_i16()).collect());
        if let (Some(ids), Some(numbers)) = (&wanted.devices, &only) {
            self.check_named(account, ids, numbers, now_ms).await?;
        }
        self.check_claim(account, caller).await?;
        let is_own = account.names(caller.account_id);
        let except = (is_own && only.is_none()).then(|| caller.device.device.as_i16());

        let enough = self.rules.prekeys.low_water;
        let taken =
            db::bundles::take(account.uuid(), only.as_deref(), except, enough, now_ms, &self.db)
                .await?;
        metrics::bundles_taken(taken.len(), started.elapsed());

        // After the keys, so that the chain certifies every device in the answer. Those that
        // it has revoked since are left out; their keys are lost with the shelf that they
        // were on.
        let devices: Vec<_> = taken.iter().map(|bundle| bundle.device).collect();
        let certify = db::bundles::certify(account.uuid(), &devices, now_ms, &self.db);
        let ((), found) = join(self.watch_stock(account, &taken), certify).await;
        let found = found?.ok_or(KeysError::UnknownAccount)?;
        let ops = match wanted.have {
            None => Vec::new(),
            Some(have) => self.ops_after(have, account, found.head).await?,
        };
        let devices = taken
            .into_iter()
            .filter(|bundle| found.live.contains(&bundle.device))
            .map(DeviceBundle::try_from)
            .collect::<Result<_, _>>()?;
        Ok(Bundles { account_id: found.account_id, head: found.head, ops, devices })
    }

    /// Demands that the caller is still a device of its account, and that its app and one
    /// of those of the account let their users meet.
    async fn check_reach(
        &self,
        account: AccountRef,
        caller: &Caller,
        now_ms: u64,
    ) -> Result<(), KeysError> {
        let reach = db::bundles::find_reach(account.uuid(), caller.device, now_ms, &self.db)
            .await?
            .ok_or_else(|| liveness::unknown(caller.device))?;
        liveness::demand_live(reach.is_revoked, reach.is_expired)?;
        if !reach.account_id.is_some_and(|id| account.names(id)) {
            return Err(KeysError::UnknownAccount);
        }
        if !reach.apps.iter().any(|app| self.apps.may_meet(app, &caller.app)) {
            return Err(KeysError::NotInteroperable);
        }
        Ok(())
    }

    /// Demands that the caller has not claimed too much of this account. Beyond that it
    /// gets no bundle at all: one without a one-time key would be a weaker one, and
    /// whoever could ask for those could make everybody get them.
    async fn check_claim(&self, account: AccountRef, caller: &Caller) -> Result<(), KeysError> {
        let claim = Take::one(Class::Claim, Subject::Pair(caller.device, account.uuid()));
        self.limits.take(&[claim]).await.check().map_err(|limited| {
            metrics::claim_refused();
            KeysError::TooManyClaims { retry_after: limited.retry_after }
        })
    }

    /// Demands that the named devices can be served, before any of their keys is used
    /// up.
    async fn check_named(
        &self,
        account: AccountRef,
        ids: &[DeviceId],
        numbers: &[i16],
        now_ms: u64,
    ) -> Result<(), KeysError> {
        let live = db::devices::list_live(account.uuid(), numbers, now_ms, &self.db).await?;
        let without = |is_fit: &dyn Fn(i16) -> bool| -> Vec<DeviceId> {
            ids.iter().copied().filter(|id| !is_fit(id.as_i16())).collect()
        };
        let unknown = without(&|id| live.iter().any(|device| device.device == id));
        if !unknown.is_empty() {
            return Err(KeysError::UnknownDevices { device_ids: unknown });
        }
        let unready =
            without(&|id| live.iter().any(|device| device.device == id && device.is_ready));
        if unready.is_empty() {
            Ok(())
        } else {
            Err(KeysError::DevicesNotReady { device_ids: unready })
        }
    }

    async fn ops_after(
        &self,
        have: u64,
        account: AccountRef,
        head: Head,
    ) -> Result<Vec<SignedOp>, KeysError> {
        let stored =
            db::chain_ops::list(account.uuid(), have.saturating_add(1), head.seq, &self.db).await?;
        stored
            .into_iter()
            .map(|op| SignedOp::decode(op.signed_op.as_slice()))
            .collect::<Result<_, _>>()
            .map_err(|_| KeysError::Damaged("op"))
    }

    /// Counts what was missing, and tells devices that are running low.
    async fn watch_stock(&self, account: AccountRef, taken: &[Bundle]) {
        let low = i64::from(self.rules.prekeys.low_water);
        for bundle in taken {
            if bundle.one_time_ec_id.is_none() {
                metrics::without_onetime("ec");
            }
            if bundle.one_time_kyber_id.is_none() {
                metrics::without_onetime("kyber");
            }
            let (ec, kyber) = (bundle.one_time_ec_left, bundle.one_time_kyber_left);
            if ec >= low && kyber >= low {
                continue;
            }
            metrics::low_water();
            if let Ok(device) = DeviceId::try_from(bundle.device) {
                let device = DeviceAddress::new(account.uuid(), device);
                // Of a kind that is not low it is not known yet how much there is.
                let (ec, kyber) = if ec.max(kyber) < low {
                    (ec, kyber)
                } else {
                    self.left(device, ec, kyber).await
                };
                let count = |left: i64| u32::try_from(left.max(0)).unwrap_or(u32::MAX);
                self.tell_low_water(device, count(ec), count(kyber)).await;
            }
        }
    }

    /// How many one-time keys of each kind a device has left. Where that cannot be told:
    /// what is known, which is enough to say which kind is low.
    async fn left(&self, device: DeviceAddress, ec: i64, kyber: i64) -> (i64, i64) {
        match db::shelves::count(device, &self.db).await {
            Ok(Some(stock)) => (stock.one_time_ec, stock.one_time_kyber),
            Ok(None) | Err(_) => (ec, kyber),
        }
    }
}

impl TryFrom<Bundle> for DeviceBundle {
    type Error = KeysError;

    fn try_from(row: Bundle) -> Result<Self, KeysError> {
        let one_time_ec = match (row.one_time_ec_id, row.one_time_ec_key) {
            (Some(key_id), Some(public_key)) => Some(BarePrekey { key_id, public_key }),
            _ => None,
        };
        let one_time_kyber =
            match (row.one_time_kyber_id, row.one_time_kyber_key, row.one_time_kyber_signature) {
                (Some(key_id), Some(public_key), Some(signature)) => {
                    Some(SignedPrekey { key_id, public_key, signature })
                }
                _ => None,
            };
        let kyber_is_last_resort = one_time_kyber.is_none();
        let last_resort = SignedPrekey {
            key_id: row.last_resort_id,
            public_key: row.last_resort_key,
            signature: row.last_resort_signature,
        };
        Ok(Self {
            device: DeviceId::try_from(row.device).map_err(|_| KeysError::Damaged("device"))?,
            registration_id: row.registration_id.unsigned_abs(),
            identity_key: row.identity_key,
            signed_ec: SignedPrekey {
                key_id: row.signed_ec_id,
                public_key: row.signed_ec_key,
                signature: row.signed_ec_signature,
            },
            one_time_ec,
            kyber: one_time_kyber.unwrap_or(last_resort),
            kyber_is_last_resort,
        })
    }
}
