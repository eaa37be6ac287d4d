use sotto_identity::{Device, State};
use sotto_ids::{DeviceId, Handle};

/// What one op changes in the tables beside the chain.
#[derive(Debug, Default)]
pub(crate) struct Changes<'a> {
    pub(crate) added: Vec<&'a Device>,
    pub(crate) revoked: Vec<DeviceId>,
    /// The handle that it claims.
    pub(crate) handle: Option<&'a Handle>,
    /// Whether it goes by no handle from now on. It still holds those that it had.
    pub(crate) drops_handle: bool,
}

impl<'a> Changes<'a> {
    /// What a genesis brings.
    pub(crate) fn at_genesis(state: &'a State) -> Self {
        Self { added: state.live_devices().collect(), ..Self::default() }
    }

    /// What lies between two states of one account.
    pub(crate) fn between(before: &State, after: &'a State) -> Self {
        let is_new = |device: &&Device| !before.devices.contains_key(&device.id);
        let is_revoked =
            |device: &&Device| !device.is_live() && before.live_device(device.id).is_some();
        Self {
            added: after.devices.values().filter(is_new).collect(),
            revoked: after.devices.values().filter(is_revoked).map(|device| device.id).collect(),
            drops_handle: before.handle.is_some() && after.handle.is_none(),
            handle: after.handle.as_ref().filter(|handle| before.handle.as_ref() != Some(*handle)),
        }
    }

    /// Whether senders have to hear of it.
    pub(crate) fn touch_devices(&self) -> bool {
        !self.added.is_empty() || !self.revoked.is_empty()
    }
}
