use std::fmt;

use sotto_ids::{AccountId, AccountUuid, DeviceId, GroupId};

/// A group that this device is in, or was.
#[derive(Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name among devices and servers.
    pub id: GroupId,
    /// What people call it, at most 100 characters; empty until it is known.
    pub name: String,
    /// What it looks like, at most 16 KiB in a form that apps agree on.
    pub picture: Option<Vec<u8>>,
    /// How this device stands in it.
    pub standing: GroupStanding,
    /// Who added this device, where somebody did.
    pub invited_by: Option<AccountId>,
    /// Counts resets.
    pub generation: u32,
    /// Counts commits of the generation.
    pub epoch: u64,
    /// Up to which entry its log has been taken in.
    pub seq: u64,
    /// Who may add and remove others, and change all this.
    pub admins: Vec<AccountId>,
    /// Whether every member may add others.
    pub members_may_add: bool,
    /// Messages of others that were not read.
    pub unread: u64,
    /// Why the newest change of the group is not followed: a stable word, such as
    /// `leaf_uncertified`. Nothing comes in or goes out until it is reset.
    pub refused: Option<String>,
}

impl fmt::Debug for Group {
    /// Names nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("standing", &self.standing)
            .field("generation", &self.generation)
            .field("epoch", &self.epoch)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// How a device stands in a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupStanding {
    /// Somebody who is no contact has added this device. Messages come in; see
    /// [`crate::Client::accept_group`] and [`crate::Client::decline_group`].
    Invited,
    /// In it.
    Member,
    /// It leaves: some other member has to take it out.
    Leaving,
    /// The group was begun anew, and this device waits to be welcomed.
    Awaiting,
    /// It has left.
    Left,
    /// Somebody took it out.
    Removed,
}

impl GroupStanding {
    const ALL: [Self; 6] =
        [Self::Invited, Self::Member, Self::Leaving, Self::Awaiting, Self::Left, Self::Removed];

    /// A stable word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Member => "member",
            Self::Leaving => "leaving",
            Self::Awaiting => "awaiting",
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }

    /// Whether it has the keys of the group.
    pub fn is_in(self) -> bool {
        matches!(self, Self::Invited | Self::Member | Self::Leaving)
    }
}

/// A group and who is in it.
#[derive(Clone, Debug)]
pub struct GroupDetails {
    /// The group.
    pub group: Group,
    /// Its members, by account.
    pub members: Vec<GroupMember>,
}

/// An account in a group.
#[derive(Clone)]
pub struct GroupMember {
    /// The account.
    pub account: AccountId,
    /// Its UUID.
    pub uuid: AccountUuid,
    /// The handle that its chain claims.
    pub handle: Option<String>,
    /// Whether it is an admin.
    pub admin: bool,
    /// Its devices in the group.
    pub devices: Vec<GroupDevice>,
}

impl fmt::Debug for GroupMember {
    /// Names nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMember")
            .field("admin", &self.admin)
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}

/// A device in a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupDevice {
    /// Its number in its account.
    pub device: DeviceId,
    /// Its leaf in the tree of the group.
    pub leaf: u32,
    /// Up to which entry of the log it has everything, as the server has heard; `None`
    /// where the server was not asked. Compare it with [`Group::seq`], or with
    /// [`crate::Message::group_seq`] for one message.
    pub delivered: Option<u64>,
}

/// What came of adding people.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct GroupAdded {
    /// They are in the group now.
    pub added: Vec<AccountId>,
    /// No device of theirs has a KeyPackage at the server: they cannot be added now.
    pub unreachable: Vec<AccountId>,
}

impl fmt::Debug for GroupAdded {
    /// Names nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupAdded")
            .field("added", &self.added.len())
            .field("unreachable", &self.unreachable.len())
            .finish()
    }
}
