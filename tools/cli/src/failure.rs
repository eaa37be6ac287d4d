use sotto_client::ClientError;

/// Why a command did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),

    /// The message is in the history, with the server's reason.
    #[error("the message was refused: {reason}")]
    MessageFailed { reason: String },

    #[error("--{0} is needed: the profile does not know it yet")]
    MissingSetting(&'static str),

    #[error("there is no app token: give --app-token, --app-token-file or --app-token-command")]
    NoAppToken,

    #[error("the profile cannot be used: {0}")]
    Profile(String),

    #[error("several groups are called so: name the one by its id")]
    TwoGroups,

    #[error("this device has no evidence against the account")]
    NoEvidence,

    /// The file proves nothing.
    #[error("the evidence does not verify: {0}")]
    Evidence(sotto_client::EvidenceError),

    #[error("the output is gone")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// A stable word for scripts.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Client(error) => error.reason(),
            Self::MessageFailed { reason } => reason,
            Self::MissingSetting(_) => "missing_setting",
            Self::NoAppToken => "no_app_token",
            Self::Profile(_) => "profile",
            Self::TwoGroups => "two_groups",
            Self::NoEvidence | Self::Evidence(_) => "no_evidence",
            Self::Output(_) => "output",
        }
    }

    /// | code | meaning |
    /// |---|---|
    /// | 1 | the profile or its store cannot be used |
    /// | 2 | the command line is wrong |
    /// | 3 | the profile is not that far yet, or too far |
    /// | 4 | the server refuses it |
    /// | 5 | the server is away or busy: try again |
    /// | 6 | the server is not to be trusted with this |
    pub(crate) fn exit_code(&self) -> u8 {
        let error = match self {
            Self::Client(error) => error,
            Self::MessageFailed { .. } | Self::NoEvidence | Self::Evidence(_) => return 4,
            Self::MissingSetting(_) | Self::NoAppToken | Self::TwoGroups => return 2,
            Self::Profile(_) | Self::Output(_) => return 1,
        };
        match error {
            ClientError::NotRegistered
            | ClientError::AlreadyRegistered
            | ClientError::NotAdmin
            | ClientError::RequestPending
            | ClientError::RequestOutdated
            | ClientError::AdminLeaves
            | ClientError::LinkElsewhere
            | ClientError::LinkExpired
            | ClientError::CodeOlder
            | ClientError::LinkTaken
            | ClientError::LinkDeclined
            | ClientError::GroupNotAccepted
            | ClientError::LastGroupAdmin
            | ClientError::OtherPhrase => 3,
            ClientError::MalformedName
            | ClientError::MalformedPhrase
            | ClientError::MalformedRequest
            | ClientError::MalformedLink
            | ClientError::MalformedCode
            | ClientError::CodeOfAnotherAccount
            | ClientError::TextLength { .. }
            | ClientError::Limit(_)
            | ClientError::NotAuthor
            | ClientError::UnknownMessage
            | ClientError::Config(_) => 2,
            ClientError::Refused { .. }
            | ClientError::UnknownAccount
            | ClientError::UnknownGroup
            | ClientError::NotAllowedInGroup { .. }
            | ClientError::WrongPhrase
            | ClientError::MoreKeysNeeded => 4,
            ClientError::Unavailable { .. } | ClientError::TimedOut | ClientError::AppToken(_) => 5,
            ClientError::Distrust(_)
            | ClientError::LinkedElsewhere
            | ClientError::GroupStopped { .. } => 6,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use sotto_client::Distrust;

    use super::*;

    #[test]
    fn a_script_can_tell_the_kinds_of_failure_apart() {
        let codes = [
            (Failure::Client(ClientError::WrongStoreKey), 1),
            (Failure::MissingSetting("domain"), 2),
            (Failure::Client(ClientError::NotRegistered), 3),
            (Failure::Client(ClientError::UnknownAccount), 4),
            (Failure::Client(ClientError::TimedOut), 5),
            (Failure::Client(Distrust::Fork.into()), 6),
        ];
        for (failure, code) in codes {
            assert_eq!(failure.exit_code(), code, "{}", failure.reason());
        }
    }
}
