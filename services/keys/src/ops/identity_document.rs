use std::fmt;

use sotto_identity::{Device, State};
use sotto_ids::Handle;

use super::{
    Keys,
    append::{decode, state_of},
    off_the_async_threads,
};
use crate::{db, domain::public_name::PublicName, error::KeysError};

/// What the chain of an account says of it now.
pub(crate) struct IdentityDocument {
    pub(crate) handle: Handle,
    pub(crate) state: State,
    /// Those that are neither revoked nor over their time.
    pub(crate) devices: Vec<Device>,
}

impl fmt::Debug for IdentityDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityDocument(..)")
    }
}

impl Keys {
    /// Looks up who goes by a name, and replays the chain for what it says. It is for
    /// people and for a first look: whoever relies on it verifies the chain.
    #[tracing::instrument(name = "keys.identity_document", skip_all)]
    pub(crate) async fn identity_document(
        &self,
        name: PublicName,
    ) -> Result<IdentityDocument, KeysError> {
        self.check_home(&name)?;
        let found = self.find_by_handle(&name.handle).await?;
        let account = found.account_id.uuid();
        let stored = db::chain_ops::list(account, 0, found.head.seq, &self.db).await?;
        let now_ms = self.clock.now_ms();
        off_the_async_threads(move || {
            let state = state_of(&decode(&stored)?, &found)?;
            let devices = state.live_devices().filter(|device| device.is_live_at(now_ms));
            Ok(IdentityDocument { handle: name.handle, devices: devices.cloned().collect(), state })
        })
        .await
    }

    /// Demands that a name is one of this deployment.
    pub(crate) fn check_home(&self, name: &PublicName) -> Result<(), KeysError> {
        if *name.domain == *self.domain { Ok(()) } else { Err(KeysError::OtherDomain) }
    }
}
