/// A GroupContext has no policy that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPolicy {
    /// There is none.
    #[error("the group has no policy")]
    Missing,
    /// It is of a later version.
    #[error("the policy of the group is of an unknown version")]
    UnknownVersion,
    /// The bytes are no policy, or not in its one form.
    #[error("the policy of the group cannot be read")]
    Unreadable,
    /// None, too many, twice the same, not sorted, or no accounts.
    #[error("the admins of the group are no sorted list of accounts within its bounds")]
    Admins,
}

/// A commit does what its author may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The author has no leaf in the group.
    #[error("the committer is no member")]
    NotAMember,
    /// A device joined by itself whose account has no device in the group.
    #[error("only a device of an account in the group may join by itself")]
    ExternalJoin,
    /// A device that joined by itself removed another than its own old leaf, or did more.
    #[error("a device that joins by itself may only replace its own leaf")]
    ExternalChanges,
    /// Who is no admin added a device of another account, and members may not.
    #[error("only admins add others to this group")]
    Add,
    /// Who is no admin removed a device of another account.
    #[error("only admins remove others")]
    Remove,
    /// Who is no admin changed the policy.
    #[error("only admins change the policy")]
    Policy,
    /// A new admin has no device in the group.
    #[error("an admin has to be a member")]
    AdminNotMember,
    /// No admin would be left among the members.
    #[error("the last admin stays admin while others are in the group")]
    LastAdmin,
    /// The version of the metadata does not count their changes.
    #[error("the version of the metadata counts their changes, one by one")]
    MetadataVersion,
    /// Other extensions of the GroupContext were changed than the policy.
    #[error("of the extensions of the group only the policy may change")]
    Extensions,
    /// A leaf took another identity.
    #[error("a leaf keeps its identity")]
    LeafIdentity,
    /// A device that has a leaf was added, or one was added twice.
    #[error("a device has one leaf")]
    AlreadyMember,
    /// A proposal of a kind, or from somebody, that groups here do not have.
    #[error("a proposal of this kind has no place here")]
    Proposal,
    /// A group, or a generation of it, begins with more than the leaf of its maker.
    #[error("a group begins with its maker alone")]
    NotAlone,
    /// More than one commit may add.
    #[error("one commit adds too many devices")]
    TooManyAdds,
    /// More than a group may have.
    #[error("the group has too many devices")]
    GroupFull,
}

impl PolicyError {
    /// The rule that was broken, as a stable word.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotAMember => "not_a_member",
            Self::ExternalJoin => "external_join",
            Self::ExternalChanges => "external_changes",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Policy => "policy",
            Self::AdminNotMember => "admin_not_member",
            Self::LastAdmin => "last_admin",
            Self::MetadataVersion => "metadata_version",
            Self::Extensions => "extensions",
            Self::LeafIdentity => "leaf_identity",
            Self::AlreadyMember => "already_member",
            Self::Proposal => "proposal",
            Self::NotAlone => "not_alone",
            Self::TooManyAdds => "too_many_adds",
            Self::GroupFull => "group_full",
        }
    }
}
