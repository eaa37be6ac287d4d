//! What a reader remembers of somebody's chain, so that a server cannot show it
//! another one later.

use std::fmt;

use sotto_ids::AccountId;

use crate::{ChainError, Evidence, LinkHash, SignedOp, State, link_hash, replay};

/// The newest state of a contact's chain that the reader has verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin {
    /// Whose chain.
    pub account_id: AccountId,
    /// The number of its newest op.
    pub seq: u64,
    /// The link hash of that op.
    pub head: LinkHash,
    /// The account key there, which the safety number is made from.
    pub account_key: [u8; 32],
}

impl Pin {
    /// Pins this state.
    pub const fn of(state: &State) -> Self {
        Self {
            account_id: state.account_id,
            seq: state.seq,
            head: state.head,
            account_key: state.account_key,
        }
    }
}

impl fmt::Debug for Pin {
    /// How far, not whose.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin").field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// A chain that goes on from where it was pinned, or ends there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its newest state; [`Pin::of`] it is the next pin.
    pub state: State,
    /// How many ops have come since.
    pub new_ops: u64,
    /// The account key was replaced since: the safety number is another one.
    pub account_key_changed: bool,
}

/// Why a served chain is not taken. The pin stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The chain ends before the pinned op: the server shows an old one.
    #[error("the chain is shorter than it was")]
    Rollback,
    /// The chain is another one than before, and both are signed: stop sending.
    #[error("the chain is not the one that was seen before")]
    Fork(
        /// Both ops, to show to others. None where the reader's own copy of the
        /// chain is not at hand or does not lead to the pin.
        Option<Box<Evidence>>,
    ),
    /// The chain is another account's.
    #[error("the chain belongs to another account")]
    WrongAccount,
    /// The chain is not valid. This is no fork: anybody can make such bytes up.
    #[error("the chain is not valid")]
    Chain(#[from] ChainError),
}

impl PinError {
    /// A stable word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Fork(_) => "fork",
            Self::WrongAccount => "wrong_account",
            Self::Chain(error) => error.reason(),
        }
    }
}

/// Compares a chain as a server shows it, from genesis on, with what the reader
/// has pinned.
///
/// `held` are the ops that the reader verified when it set the pin, from genesis
/// on; they serve as evidence should the chain have forked, and may be left empty.
/// Who fetches only what came after the pin uses [`State::apply`], and fetches the
/// whole chain for this function when the first op fails with `wrong_prev`.
pub fn compare(pin: &Pin, held: &[SignedOp], served: &[SignedOp]) -> Result<Seen, PinError> {
    let state = replay(served)?;
    if state.account_id != pin.account_id {
        return Err(PinError::WrongAccount);
    }
    if state.seq < pin.seq {
        // Where it also differs before its end, it has forked, which is worse.
        return Err(match Evidence::find(held, served) {
            Some(evidence) => PinError::Fork(Some(Box::new(evidence))),
            None => PinError::Rollback,
        });
    }
    let pinned = usize::try_from(pin.seq).ok().and_then(|seq| served.get(seq));
    if pinned.map(|signed| link_hash(&signed.payload)) != Some(pin.head) {
        return Err(PinError::Fork(Evidence::find(held, served).map(Box::new)));
    }
    Ok(Seen {
        new_ops: state.seq - pin.seq,
        account_key_changed: state.account_key != pin.account_key,
        state,
    })
}
