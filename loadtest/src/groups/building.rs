//! How a group of any size comes to be.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use sotto_ids::{GroupId, limits::MAX_KEY_PACKAGE_CLAIMS};

use super::{
    api::Package,
    crew::{Crew, Member},
    device::Intent,
    doing::Committed,
};

/// Members that one commit adds.
pub const BATCH: usize = 500;

impl Crew {
    /// Makes a group with its maker alone.
    ///
    /// # Errors
    ///
    /// When the server does not take it.
    pub async fn create(&self, maker: &Arc<Member>) -> anyhow::Result<GroupId> {
        let group = Self::new_group(maker);
        let (metadata, (domain, key)) = (Arc::clone(&self.metadata), self.external_sender());
        let (domain, key) = (domain.to_owned(), *key);
        let begun = self
            .work(maker, move |device| device.create(group, &metadata, (&domain, &key)))
            .await?
            .context("a group")?;
        self.api.create(begun.0, begun.1, &maker.token).await.context("create")?;
        Ok(group)
    }

    /// Has an admin add members with one commit.
    ///
    /// # Errors
    ///
    /// When they have no KeyPackages, or the server does not take the commit.
    pub async fn add(
        &self,
        admin: &Arc<Member>,
        group: GroupId,
        members: &[Arc<Member>],
    ) -> anyhow::Result<Committed> {
        let mut packages: Vec<Package> = Vec::with_capacity(members.len());
        for some in members.chunks(MAX_KEY_PACKAGE_CLAIMS) {
            let accounts: Vec<_> = some.iter().map(|member| member.account).collect();
            packages.extend(self.api.claim(&accounts, &admin.token).await.context("claim")?);
        }
        ensure!(
            packages.len() == members.len(),
            "{} KeyPackages for {} members",
            packages.len(),
            members.len()
        );
        self.commit(admin, group, Intent::Add(packages)).await.context("add")
    }

    /// Makes a group of these members, of whom the first is the maker. Nobody but the maker
    /// has come in yet.
    ///
    /// # Errors
    ///
    /// As [`Crew::add`].
    pub async fn build(
        &self,
        members: &[Arc<Member>],
    ) -> anyhow::Result<(GroupId, Vec<Committed>)> {
        let (maker, others) = members.split_first().context("a group has a maker")?;
        let group = self.create(maker).await?;
        let mut commits = Vec::new();
        for batch in others.chunks(BATCH) {
            commits.push(self.add(maker, group, batch).await?);
        }
        Ok((group, commits))
    }
}
