use std::time::Duration;

use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use sotto_kit::clock::millis;
use sqlx::PgPool;

use crate::{db, domain::invite::Invite};

/// What kind of invites an operator wants.
#[derive(Debug, Clone, Copy)]
pub struct NewInvites {
    /// How many. At most 10,000, which is one insert.
    pub count: u16,
    /// How many accounts may be opened with each.
    pub uses: u32,
    /// How long each counts.
    pub valid_for: Duration,
}

/// The most invites that one call makes.
const MOST: u16 = 10_000;

/// Makes invites, and returns them as text. What is stored is their hashes, so this is
/// the one time that anybody can read them.
///
/// # Errors
///
/// Those of the database; then there are none.
pub async fn make_invites(
    wanted: NewInvites,
    now_ms: u64,
    db: &PgPool,
) -> Result<Vec<String>, sqlx::Error> {
    let mut rng = StdRng::from_os_rng();
    let invites: Vec<_> = (0..wanted.count.min(MOST))
        .map(|_| {
            let mut random = [0; 15];
            rng.fill_bytes(&mut random);
            Invite::new(random)
        })
        .collect();
    let hashes: Vec<_> = invites.iter().map(Invite::hash).collect();
    let expires_at_ms = now_ms.saturating_add(millis(wanted.valid_for));
    db::invites::insert_many(&hashes, wanted.uses, expires_at_ms, db).await?;
    Ok(invites.iter().map(Invite::to_string).collect())
}
