//! Groups.

use sotto_ids::{AccountId, GroupId};

use super::Client;
use crate::{
    ClientError, Draft, Group, GroupAdded, GroupDetails, Message, MessageId,
    groups::{self, Intent},
};

impl Client {
    /// Begins a group with this device alone; others are added by [`Self::add_to_group`]. The
    /// name has at most 100 characters, the picture at most 16 KiB. The server sees neither.
    ///
    /// # Errors
    /// `group_metadata` where one of the two is too long, `unavailable`, and what the server
    /// refuses.
    pub async fn create_group(
        &self,
        name: impl Into<String>,
        picture: Option<Vec<u8>>,
    ) -> Result<GroupId, ClientError> {
        groups::create(&self.inner, name.into(), picture).await
    }

    /// Adds people with all of their devices, several hundred devices at a time. Whether one
    /// may, the group says: admins may, and members where it lets them.
    ///
    /// # Errors
    /// `unknown_group`, `group_not_accepted`, `group_stopped`, `not_allowed_in_group`,
    /// `unavailable` where the server is away or others keep changing the group, and what the
    /// server refuses. Those of earlier batches are in the group then.
    pub async fn add_to_group(
        &self,
        group: GroupId,
        accounts: &[AccountId],
    ) -> Result<GroupAdded, ClientError> {
        groups::add(&self.inner, group, accounts).await
    }

    /// Removes people with all of their devices. They read nothing that is written
    /// afterwards. `false` where none of them was in the group.
    ///
    /// # Errors
    /// As [`Self::add_to_group`]. To leave oneself, see [`Self::leave_group`].
    pub async fn remove_from_group(
        &self,
        group: GroupId,
        accounts: &[AccountId],
    ) -> Result<bool, ClientError> {
        let own = self.me().await?.map(|me| me.account);
        if accounts.iter().any(|account| Some(*account) == own) {
            return Err(ClientError::Limit("leave_instead"));
        }
        groups::carry_out(&self.inner, group, Intent::Remove(accounts.to_vec())).await
    }

    /// Leaves a group with all of one's devices. Some other member has to take this one out,
    /// and does so by itself: [`crate::Event::GroupLeft`] tells.
    ///
    /// # Errors
    /// `last_group_admin`: somebody else has to be made an admin first. As
    /// [`Self::add_to_group`].
    pub async fn leave_group(&self, group: GroupId) -> Result<(), ClientError> {
        groups::leave(&self.inner, group).await
    }

    /// Gives a group another name. Admins only.
    ///
    /// # Errors
    /// As [`Self::create_group`] and [`Self::add_to_group`].
    pub async fn rename_group(
        &self,
        group: GroupId,
        name: impl Into<String>,
    ) -> Result<bool, ClientError> {
        let intent = Intent::Describe { name: Some(name.into()), picture: None };
        groups::carry_out(&self.inner, group, intent).await
    }

    /// Gives a group another picture, or none. Admins only.
    ///
    /// # Errors
    /// As [`Self::rename_group`].
    pub async fn set_group_picture(
        &self,
        group: GroupId,
        picture: Option<Vec<u8>>,
    ) -> Result<bool, ClientError> {
        let picture = Some(picture.unwrap_or_default());
        groups::carry_out(&self.inner, group, Intent::Describe { name: None, picture }).await
    }

    /// Makes a member an admin, or no longer. Admins only.
    ///
    /// # Errors
    /// As [`Self::add_to_group`].
    pub async fn set_group_admin(
        &self,
        group: GroupId,
        account: AccountId,
        admin: bool,
    ) -> Result<bool, ClientError> {
        groups::carry_out(&self.inner, group, Intent::SetAdmin { account, admin }).await
    }

    /// Renews this device's keys in a group: whoever has stolen those before reads nothing
    /// that is written afterwards.
    ///
    /// # Errors
    /// As [`Self::add_to_group`].
    pub async fn update_group_keys(&self, group: GroupId) -> Result<bool, ClientError> {
        groups::carry_out(&self.inner, group, Intent::Update).await
    }

    /// Begins a group anew where its members have lost each other, and adds everybody who was
    /// in it again. The last resort. Admins only.
    ///
    /// # Errors
    /// As [`Self::add_to_group`].
    pub async fn reset_group(&self, group: GroupId) -> Result<GroupAdded, ClientError> {
        groups::reset(&self.inner, group).await
    }

    /// Writes to a group. It is in the outbox and the history when this returns, and is sent
    /// while online. Replies, edits, reactions and votes work as in other conversations.
    ///
    /// # Errors
    /// As [`Self::send`]; `unknown_group`, `group_not_accepted`, `group_stopped`.
    pub async fn send_to_group(
        &self,
        group: GroupId,
        draft: Draft,
    ) -> Result<MessageId, ClientError> {
        self.inner.vault.run(move |tx| groups::outbox::enqueue(tx, group, draft)).await
    }

    /// All groups that this device is in or was, that which was joined last first.
    ///
    /// # Errors
    /// `store`.
    pub async fn groups(&self) -> Result<Vec<Group>, ClientError> {
        self.inner.vault.run(groups::groups).await
    }

    /// A group and its members; how far each of their devices has come, the server is asked.
    /// While it is away, what is known here.
    ///
    /// # Errors
    /// `unknown_group`, `store`.
    pub async fn group(&self, group: GroupId) -> Result<GroupDetails, ClientError> {
        groups::details(&self.inner, group).await
    }

    /// The newest `limit` messages of a group, before a position where one is given; oldest
    /// first.
    ///
    /// # Errors
    /// `unknown_group`, `store`.
    pub async fn group_history(
        &self,
        group: GroupId,
        limit: usize,
        before: Option<u64>,
    ) -> Result<Vec<Message>, ClientError> {
        self.inner.vault.run(move |tx| groups::history(tx, group, limit, before)).await
    }

    /// All that was written in a group so far has been read, here and on one's other devices.
    /// Nobody else is told.
    ///
    /// # Errors
    /// `unknown_group`, `store`.
    pub async fn mark_group_read(&self, group: GroupId) -> Result<(), ClientError> {
        self.inner.vault.run(move |tx| groups::mark_read(tx, group)).await
    }

    /// Takes the invitation of somebody who is no contact. Nothing where there was none.
    ///
    /// # Errors
    /// `unknown_group`.
    pub async fn accept_group(&self, group: GroupId) -> Result<(), ClientError> {
        self.inner.vault.run(move |tx| groups::accept(tx, group)).await
    }

    /// Declines an invitation, and leaves the group by that.
    ///
    /// # Errors
    /// As [`Self::leave_group`]; `unknown_group` where there was no invitation.
    pub async fn decline_group(&self, group: GroupId) -> Result<(), ClientError> {
        groups::decline(&self.inner, group).await
    }

    /// Fetches by requests what has happened in all groups. A client that is online hears of
    /// it by itself.
    ///
    /// # Errors
    /// `not_registered`, `unavailable`, and the first that came up in a group; the other
    /// groups are up to date then all the same.
    pub async fn synchronize_groups(&self) -> Result<(), ClientError> {
        groups::synchronize(&self.inner).await
    }
}
