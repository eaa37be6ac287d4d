use std::{sync::Arc, time::SystemTime};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use rand::{Rng, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sotto_ids::{AccountUuid, DeviceId, limits::MAX_PREKEYS_PER_UPLOAD};
use sotto_testkit::{Cluster, cluster::APPS};

use super::{account::Account, keys, outgoing::Peer, rest::Rest};

/// Registrations under way at once.
const AT_ONCE: usize = 16;

/// Which prekeys a device publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prekeys {
    /// None: it can connect, and nobody can write to it.
    None,
    /// The ones that every device needs: nobody asks for more.
    Standing,
    /// Those, and so many one-time prekeys of each kind.
    Stocked(u32),
}

/// What a pool is made of.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Told apart by it from other pools of the same cluster.
    pub name: &'static str,
    /// How many accounts.
    pub accounts: u32,
    /// How many devices each of them has, 1 to 10.
    pub devices_each: u32,
    /// What each device publishes.
    pub prekeys: Prekeys,
    /// The number in the run of the first device.
    pub first_number: u32,
}

/// Accounts that are registered, with devices that are logged in.
#[derive(Debug)]
pub struct Pool {
    members: Vec<Member>,
}

/// One account of it.
#[derive(Debug)]
pub struct Member {
    account: Account,
    /// Of each device.
    tokens: Vec<String>,
    first_number: u32,
}

impl Pool {
    /// Registers the accounts and logs their devices in.
    ///
    /// # Errors
    ///
    /// When the server does not take one of them.
    pub async fn register(
        spec: Spec,
        cluster: &Cluster,
        tell: impl Fn(usize),
    ) -> anyhow::Result<Self> {
        let rest = Arc::new(Rest::new(&cluster.rest_url(), cluster.domain())?);
        let [app, _] = APPS;
        let mut registering = stream::iter(0..spec.accounts)
            .map(|number| {
                let app_token = cluster.app_token(app, &format!("{}-{number}", spec.name));
                let rest = Arc::clone(&rest);
                async move {
                    let first_number = spec.first_number + number * spec.devices_each;
                    Member::register(spec, first_number, &app_token, &rest).await
                }
            })
            .buffered(AT_ONCE);
        let mut members = Vec::new();
        while let Some(member) = registering.next().await {
            members.push(member.context("a light account could not be made")?);
            tell(members.len());
        }
        drop(registering);
        Ok(Self { members })
    }

    /// Its accounts.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// All devices: their number in the run, and the number of their account in the pool.
    pub fn devices(&self) -> impl Iterator<Item = (u32, usize)> {
        self.members
            .iter()
            .enumerate()
            .flat_map(|(account, member)| member.numbers().map(move |number| (number, account)))
    }

    /// Which device is which row's in the database.
    pub fn rows(&self) -> impl Iterator<Item = ((AccountUuid, i16), u32)> {
        self.members.iter().flat_map(|member| {
            let uuid = member.account.uuid();
            (1_i16..).zip(member.numbers()).map(move |(device, number)| ((uuid, device), number))
        })
    }
}

impl Member {
    async fn register(
        spec: Spec,
        first_number: u32,
        app_token: &str,
        rest: &Rest,
    ) -> anyhow::Result<Self> {
        let mut rng = StdRng::from_os_rng();
        let account = Account::generate(spec.devices_each, rest.domain(), now_ms(), &mut rng)?;
        rest.register(&account, app_token).await?;
        let mut tokens = Vec::new();
        for (number, keys) in (1_u32..).zip(&account.devices) {
            let token = rest.login(&account, DeviceId::try_from(number)?, app_token).await?;
            if spec.prekeys != Prekeys::None {
                rest.put_keys("signed", &token, &keys.signed_ec(1, &mut rng)?).await?;
                let last_resort =
                    json!({ "last_resort": keys.kyber(1, &mut rng)?, "one_time": [] });
                rest.put_keys("kyber", &token, &last_resort).await?;
            }
            if let Prekeys::Stocked(count) = spec.prekeys {
                stock(keys, count, &token, rest, &mut rng).await?;
            }
            tokens.push(token);
        }
        Ok(Self { account, tokens, first_number })
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The token of its device of this place, from 0.
    pub fn token(&self, device: usize) -> Option<&str> {
        self.tokens.get(device).map(String::as_str)
    }

    /// The number in the run of its first device.
    pub(super) fn first_number(&self) -> u32 {
        self.first_number
    }

    /// The numbers of its devices in the run.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let count = u32::try_from(self.tokens.len()).unwrap_or_default();
        self.first_number..self.first_number + count
    }

    /// The account as those know it who write to it.
    pub(super) fn peer(&self) -> Peer {
        let ids = self.account.devices.iter().map(|keys| keys.registration_id);
        let devices = (1..).zip(ids).zip(self.numbers());
        Peer {
            account: self.account.uuid(),
            devices: devices.map(|((device, id), number)| (device, id, number)).collect(),
        }
    }
}

async fn stock(
    keys: &keys::DeviceKeys,
    count: u32,
    token: &str,
    rest: &Rest,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    let all: Vec<u32> = (2..count + 2).collect();
    for ids in all.chunks(MAX_PREKEYS_PER_UPLOAD) {
        let ec: Vec<Value> = ids.iter().map(|id| keys::one_time_ec(*id, rng)).collect();
        rest.put_keys("one-time", token, &json!({ "keys": ec })).await?;
        let kyber: Vec<Value> =
            ids.iter().map(|id| keys.kyber(*id, rng)).collect::<anyhow::Result<_>>()?;
        rest.put_keys("kyber", token, &json!({ "one_time": kyber })).await?;
    }
    Ok(())
}

/// The time of ops and of sends.
#[expect(clippy::disallowed_methods, reason = "a device has a clock of its own")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Ten random bytes.
pub(crate) fn ten(rng: &mut impl Rng) -> [u8; 10] {
    let mut bytes = [0; 10];
    rng.fill_bytes(&mut bytes);
    bytes
}
