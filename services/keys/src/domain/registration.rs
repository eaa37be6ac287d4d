//! What stands before a registration.

use sotto_kit::fault::{Code, Fault};

/// Why somebody may not open an account yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// This deployment takes those with an invite only.
    #[error("an invite is needed to open an account here")]
    InviteRequired,
    /// The invite is none of this deployment, was used up, or has ended.
    #[error("the invite is none of ours, was used up, or has ended")]
    InviteSpent,
    /// This deployment takes those who do some work first.
    #[error("proof of work is needed to open an account here: ask for a challenge")]
    WorkRequired,
    /// The proof is none for a challenge that is still good.
    #[error("the proof of work does not count: ask for another challenge")]
    WorkInvalid,
}

impl Fault for RegistrationError {
    fn code(&self) -> Code {
        match self {
            Self::InviteRequired | Self::InviteSpent => Code::Forbidden,
            Self::WorkRequired | Self::WorkInvalid => Code::PaymentRequired,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::InviteRequired => "invite_required",
            Self::InviteSpent => "invite_spent",
            Self::WorkRequired => "proof_of_work_required",
            Self::WorkInvalid => "proof_of_work_invalid",
        }
    }
}
