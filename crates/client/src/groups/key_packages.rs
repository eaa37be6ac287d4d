//! Upkeep of the KeyPackages at the server, with which others add this device to groups.

use std::time::Duration;

use openmls::prelude::{KeyPackage, KeyPackageRef};
use openmls_traits::{OpenMlsProvider as _, storage::StorageProvider as _};
use sotto_ids::{Base64Bytes, limits::MAX_KEY_PACKAGES_PER_UPLOAD};
use sotto_mls::{
    CIPHERSUITE, capabilities,
    config::{KEY_PACKAGE_LIFETIME_S, key_package_lifetime},
};
use sotto_mls_provider::{Provider, Values};
use tls_codec::{DeserializeBytes as _, Serialize as _, VLBytes};

use super::credential::{credential, signer};
use crate::{
    ClientError,
    auth::Auth,
    prekeys::Fill,
    rest::{Rest, wire::KeyCount},
    vault::{Own, Tx, Vault, key_packages, mls_values, own},
};

/// A KeyPackage: its reference, and its bytes.
type Package = (Vec<u8>, Vec<u8>);

/// What is to be uploaded.
#[derive(Default)]
struct Plan {
    one_time: Vec<Package>,
    last_resort: Option<Package>,
}

/// Uploads of one upkeep: the stock takes one, or two where more is allowed than goes at once.
const ROUNDS: usize = 4;

/// Brings the stock at the server up to its target, and replaces the last-resort one when it
/// is too old. What was made before and did not get there is uploaded as it is.
///
/// # Errors
/// `unavailable` and what the server refuses.
pub(crate) async fn maintain(
    vault: &Vault,
    rest: &Rest,
    auth: &Auth,
    fill: Fill,
) -> Result<(), ClientError> {
    for _ in 0..ROUNDS {
        let count = auth.with_token(|token| rest.key_count(token)).await?;
        let plan = vault.run(move |tx| plan(tx, &count, fill)).await?;
        if plan.one_time.is_empty() && plan.last_resort.is_none() {
            return Ok(());
        }
        let one_time: Vec<Base64Bytes> =
            plan.one_time.iter().map(|(_, package)| package.clone().into()).collect();
        let last_resort: Option<Base64Bytes> =
            plan.last_resort.as_ref().map(|(_, package)| package.clone().into());
        auth.with_token(|token| rest.put_key_packages(&one_time, last_resort.as_ref(), token))
            .await?;
        vault
            .run(move |tx| {
                for (reference, _) in plan.one_time.iter().chain(&plan.last_resort) {
                    key_packages::set_published(tx.db, reference)?;
                }
                Ok(())
            })
            .await?;
    }
    Err(ClientError::unavailable("the server did not keep the KeyPackages"))
}

fn plan(tx: &mut Tx<'_>, count: &KeyCount, fill: Fill) -> Result<Plan, ClientError> {
    let own = own::certified(tx.db)?;
    forget_expired(tx)?;
    let mut one_time = key_packages::unpublished(tx.db, false, MAX_KEY_PACKAGES_PER_UPLOAD)?;
    let low = count.key_packages
        < match fill {
            Fill::IfLow => tx.tuning.key_package_low,
            Fill::Now => tx.tuning.key_package_target,
        };
    if low {
        let have =
            count.key_packages.saturating_add(u32::try_from(one_time.len()).unwrap_or(u32::MAX));
        for _ in have..tx.tuning.key_package_target {
            make(tx, &own, false)?;
        }
        one_time = key_packages::unpublished(tx.db, false, MAX_KEY_PACKAGES_PER_UPLOAD)?;
    }
    Ok(Plan { one_time, last_resort: last_resort(tx, &own, count)? })
}

fn last_resort(
    tx: &mut Tx<'_>,
    own: &Own,
    count: &KeyCount,
) -> Result<Option<Package>, ClientError> {
    let oldest_ms = tx.now_ms.saturating_sub(ms(tx.tuning.prekey_rotation));
    let young = key_packages::last_resort_made_ms(tx.db)?.is_some_and(|made| made > oldest_ms);
    if young && count.last_resort_key_package {
        return Ok(None);
    }
    if let Some(waiting) = key_packages::unpublished(tx.db, true, 1)?.pop() {
        return Ok(Some(waiting));
    }
    make(tx, own, true)?;
    Ok(key_packages::unpublished(tx.db, true, 1)?.pop())
}

/// Makes one, and keeps its private part.
fn make(tx: &Tx<'_>, own: &Own, last_resort: bool) -> Result<(), ClientError> {
    let failed = || ClientError::Crypto("key_package");
    let provider = Provider::new(Values::default());
    let mut builder = KeyPackage::builder()
        .key_package_lifetime(key_package_lifetime())
        .leaf_node_capabilities(capabilities());
    if last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder
        .build(CIPHERSUITE, &provider, &signer(own), credential(own))
        .map_err(|_| failed())?;
    let package = bundle.key_package();
    let reference = package.hash_ref(provider.crypto()).map_err(|_| failed())?;
    let bytes = package.tls_serialize_detached().map_err(|_| failed())?;
    mls_values::write(tx.db, provider.storage())?;
    key_packages::insert(tx.db, reference.as_slice(), &bytes, last_resort, tx.now_ms)?;
    Ok(())
}

/// Drops those that nobody can have been given any more, with their private parts.
fn forget_expired(tx: &Tx<'_>) -> Result<(), ClientError> {
    let kept_ms = KEY_PACKAGE_LIFETIME_S.saturating_mul(1_000) + ms(tx.tuning.prekey_retention);
    let gone = key_packages::take_older(tx.db, tx.now_ms.saturating_sub(kept_ms))?;
    if gone.is_empty() {
        return Ok(());
    }
    let values = mls_values::of_device(tx.db)?;
    for reference in gone {
        let reference = read(&reference)?;
        values.delete_key_package(&reference).map_err(|_| ClientError::Crypto("key_package"))?;
    }
    Ok(mls_values::write(tx.db, &values)?)
}

/// A reference as OpenMLS has it, from its bytes.
fn read(reference: &[u8]) -> Result<KeyPackageRef, ClientError> {
    VLBytes::from(reference)
        .tls_serialize_detached()
        .ok()
        .and_then(|bytes| KeyPackageRef::tls_deserialize_exact_bytes(&bytes).ok())
        .ok_or(ClientError::Crypto("key_package"))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
