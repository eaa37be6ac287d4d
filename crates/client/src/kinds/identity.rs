//! Tells others that our chain has moved in a way that they should see soon: a device
//! that went, another account key.

use crate::{
    ClientError,
    content::{Content, Kind},
    message_id::message_id,
    outbox::{self, TellOwn},
    vault::{Tx, chains, own, sessions},
};

/// Tells everybody with whom there is a session. They look at the chain themselves; the
/// head that comes with it says how far it goes.
pub(crate) fn tell_changed(tx: &mut Tx<'_>) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    let chain = chains::find(tx.db, tx.chains, own.account.uuid())?;
    if chain.is_none_or(|(_, state)| state.live_device(own.device).is_none()) {
        // It was this device that went.
        return Ok(());
    }
    for to in sessions::list_accounts(tx.db)? {
        if to == own.account.uuid() {
            continue;
        }
        let id = message_id(tx.now_ms, tx.rng);
        let content = Content::new(id, tx.now_ms, Kind::IdentityChanged);
        match outbox::enqueue_content(tx, &own, to, &content, TellOwn::No) {
            Ok(()) | Err(ClientError::Distrust(_) | ClientError::UnknownAccount) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
