//! The devices of a run: registered, certified, with KeyPackages on their shelves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sotto_ids::{AccountUuid, ClientMsgId, DeviceId, GroupId};
use sotto_mls::{LeafId, metadata::Metadata};
use sotto_testkit::{Cluster, Role};
use tokio::sync::Semaphore;

use super::{api::Api, certified::Certified, device::Device, live::Live};
use crate::{
    light::{
        Pool, Prekeys, Spec,
        pool::{now_ms, ten},
    },
    screen::Screen,
};

/// Requests under way at once while things are prepared.
const AT_ONCE: usize = 16;

/// KeyPackages for one use that each device has on its shelf; what is beyond is of last
/// resort.
const ONE_TIME: usize = 2;

/// The name of every group of a run.
pub const NAME: &str = "Everybody";

/// All devices of a run.
#[derive(Debug)]
pub struct Crew {
    members: Vec<Arc<Member>>,
    /// The server.
    pub api: Arc<Api>,
    /// Cryptography is done by as many threads as there are processors.
    turns: Semaphore,
    certified: Arc<Certified>,
    pub(crate) metadata: Arc<Metadata>,
    domain: String,
    external_sender: [u8; 32],
    troubles: Mutex<BTreeMap<String, u64>>,
}

/// One account with one device.
#[derive(Debug)]
pub struct Member {
    /// Its number in the run.
    pub number: u32,
    /// Its name at the server.
    pub account: AccountUuid,
    /// The device, as leaves name it.
    pub leaf: LeafId,
    pub(crate) token: String,
    device: Mutex<Device>,
    /// Its socket, where it has one.
    pub(crate) live: OnceLock<Live>,
    /// The last millisecond in which it made an id, so that each has its own.
    last_ms: Mutex<u64>,
}

impl Member {
    /// The device. Not to be held while waiting.
    pub fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it shows the server.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// A new id for a message.
    pub(crate) fn new_id(&self) -> ClientMsgId {
        let mut last = self.last_ms.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now_ms().max(*last + 1);
        ClientMsgId::new(*last, ten(self.device().rng()))
    }

    /// The last entry of a log that it has.
    pub(crate) fn cursor(&self, group: GroupId) -> Option<u64> {
        self.device().room(group).map(super::room::Room::cursor)
    }

    /// Whether it is in a group.
    pub(crate) fn is_in(&self, group: GroupId) -> bool {
        self.device().room(group).is_some_and(|room| room.removed().is_none())
    }
}

impl Crew {
    /// Registers `count` accounts with a device each, verifies their chains, and publishes
    /// KeyPackages of all.
    ///
    /// # Errors
    ///
    /// When the server does not take one of them.
    pub async fn register(count: u32, cluster: &Cluster, screen: &Screen) -> anyhow::Result<Self> {
        let spec = Spec {
            name: "groups",
            accounts: count,
            devices_each: 1,
            prekeys: Prekeys::None,
            first_number: 0,
        };
        let pool = Pool::register(spec, cluster, |done| {
            if done % 500 == 0 {
                screen.line(format_args!("  {done} of {count} accounts"));
            }
        })
        .await?;
        let groups = (0..cluster.count(Role::Groups)).map(|index| cluster.groups_url(index));
        let api = Arc::new(Api::new(cluster.rest_url(), groups.collect())?);
        let certified = Arc::new(Certified::default());
        let members = pool.members().iter().map(|member| {
            let leaf = LeafId::new(member.account().id, DeviceId::FIRST);
            let keys = member.account().device(DeviceId::FIRST).context("no device")?;
            Ok(Arc::new(Member {
                number: member.numbers().next().context("no number")?,
                account: member.account().uuid(),
                leaf,
                token: member.token(0).context("each device is logged in")?.to_owned(),
                device: Mutex::new(Device::new(leaf, &keys.mls_seed(), Arc::clone(&certified))),
                live: OnceLock::new(),
                last_ms: Mutex::new(0),
            }))
        });
        let members: Vec<_> = members.collect::<anyhow::Result<_>>()?;
        let first = members.first().context("nobody was registered")?;
        let external_sender = api.external_sender(&first.token).await?;
        let mut rng = StdRng::from_os_rng();
        let metadata = Metadata::new(1, NAME.to_owned(), Vec::new(), &mut rng)?;
        let crew = Self {
            members,
            api,
            turns: Semaphore::new(thread::available_parallelism().map_or(1, Into::into)),
            certified,
            metadata: Arc::new(metadata),
            domain: cluster.domain().to_owned(),
            external_sender,
            troubles: Mutex::default(),
        };
        crew.prepare().await?;
        screen.line(format_args!("  {count} devices have KeyPackages; their chains are verified"));
        Ok(crew)
    }

    async fn prepare(&self) -> anyhow::Result<()> {
        let each = |member: &Arc<Member>| {
            let member = Arc::clone(member);
            async move {
                self.certified.learn(member.account, &self.api, &member.token).await?;
                let packages = self.work(&member, |device| device.key_packages(ONE_TIME)).await?;
                let (one_time, last_resort) = packages?;
                self.api.publish(one_time, last_resort, &member.token).await?;
                anyhow::Ok(())
            }
        };
        stream::iter(self.members.iter().map(each))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// What was not as it should be, and did no harm: how often, by its reason.
    pub fn troubles(&self) -> BTreeMap<String, u64> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn trouble(&self, what: String) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        *troubles.entry(what).or_default() += 1;
    }

    /// All of them.
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// Those in these places; fewer where there are not as many.
    pub fn some(&self, places: std::ops::Range<usize>) -> &[Arc<Member>] {
        let end = places.end.min(self.members.len());
        self.members.get(places.start.min(end)..end).unwrap_or_default()
    }

    /// Has a device do something, on a thread where that keeps nobody waiting. No more do at
    /// once than there are processors.
    ///
    /// # Errors
    ///
    /// When it panics.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        member: &Arc<Member>,
        job: impl FnOnce(&mut Device) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let _turn = self.turns.acquire().await?;
        let member = Arc::clone(member);
        let result = tokio::task::spawn_blocking(move || job(&mut member.device())).await?;
        Ok(result)
    }

    /// A group that nobody has made before.
    pub(crate) fn new_group(maker: &Member) -> GroupId {
        GroupId::new(maker.device().rng().random())
    }

    /// What stands in a new group of who may remove revoked devices.
    pub(crate) fn external_sender(&self) -> (&str, &[u8; 32]) {
        (&self.domain, &self.external_sender)
    }
}
