//! KeyPackages, as devices make them: good ones, and others.

use std::{sync::Arc, time::Duration};

use openmls::prelude::{
    Capabilities, Ciphersuite, KeyPackage, Lifetime, tls_codec::Serialize as _,
};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_kit::{
    clock::{Clock as _, SystemClock},
    limits::{SharedLimiter, Unlimited},
};
use sotto_mls::{CIPHERSUITE, LeafId, capabilities};
use sotto_mls_provider::{Provider, Signer, Values};
use sqlx::PgPool;

use super::{
    Answer, TestKeys,
    person::{Person, base64, device_id, unbase64},
};

pub(crate) const PACKAGES: &str = "/v1/keys/packages";
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// What goes into a KeyPackage.
pub(crate) struct Recipe {
    pub(crate) suite: Ciphersuite,
    pub(crate) leaf: LeafId,
    /// The private key that signs, and whose public key is in the leaf.
    pub(crate) seed: [u8; 32],
    pub(crate) capabilities: Capabilities,
    pub(crate) lifetime: Lifetime,
    pub(crate) last_resort: bool,
}

impl Recipe {
    /// It ends so long after now. It began an hour before.
    pub(crate) fn ends_in(&mut self, life: Duration) {
        let now_s = SystemClock.now_ms() / 1000;
        self.lifetime = Lifetime::init(now_s - 3600, now_s + life.as_secs());
    }
}

impl Person {
    /// A KeyPackage of a device, with something changed.
    pub(crate) fn key_package_with(&self, device: u8, change: impl FnOnce(&mut Recipe)) -> Vec<u8> {
        let mut recipe = Recipe {
            suite: CIPHERSUITE,
            leaf: LeafId::new(self.id(), device_id(device)),
            seed: self.devices[&device].mls.to_bytes(),
            capabilities: capabilities(),
            lifetime: Lifetime::init(0, 0),
            last_resort: false,
        };
        recipe.ends_in(Duration::from_hours(84 * 24));
        change(&mut recipe);
        let (provider, signer) = (Provider::new(Values::default()), Signer::new(&recipe.seed));
        let credential = recipe.leaf.credential_with_key(&signer.public_key());
        let mut builder = KeyPackage::builder()
            .key_package_lifetime(recipe.lifetime)
            .leaf_node_capabilities(recipe.capabilities);
        if recipe.last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder.build(recipe.suite, &provider, &signer, credential).unwrap();
        bundle.key_package().tls_serialize_detached().unwrap()
    }

    /// A good one-time KeyPackage of a device.
    pub(crate) fn key_package(&self, device: u8) -> Vec<u8> {
        self.key_package_with(device, |_| {})
    }

    /// A good last-resort KeyPackage of a device.
    pub(crate) fn last_resort(&self, device: u8) -> Vec<u8> {
        self.key_package_with(device, |recipe| recipe.last_resort = true)
    }
}

/// The body of an upload of one-time KeyPackages.
pub(crate) fn one_time(packages: &[Vec<u8>]) -> Value {
    let packages: Vec<_> = packages.iter().map(|bytes| base64(bytes)).collect();
    json!({ "one_time": packages })
}

pub(crate) fn unlimited<A, B>(_: A, _: B) -> SharedLimiter {
    Arc::new(Unlimited)
}

impl TestKeys {
    /// With the default settings, and nobody limited.
    pub(crate) async fn today(db: PgPool) -> Self {
        Self::start_today(db, |_| {}, unlimited).await
    }

    /// Publishes so many one-time KeyPackages of a person's first device, and gives them.
    pub(crate) async fn publish_packages(&self, person: &Person, count: usize) -> Vec<Vec<u8>> {
        let packages: Vec<_> = (0..count).map(|_| person.key_package(1)).collect();
        self.put(PACKAGES, &person.token, one_time(&packages)).await.ok();
        packages
    }

    /// Publishes a last-resort KeyPackage of a person's first device, and gives it.
    pub(crate) async fn publish_last_resort(&self, person: &Person) -> Vec<u8> {
        let package = person.last_resort(1);
        let body = json!({ "last_resort": base64(&package) });
        self.put(PACKAGES, &person.token, body).await.ok();
        package
    }

    /// Asks for KeyPackages of these accounts.
    pub(crate) async fn claim(&self, caller: &Person, whose: &[&Person]) -> Answer {
        let accounts: Vec<_> = whose.iter().map(|person| person.uuid().to_string()).collect();
        let body = json!({ "accounts": accounts });
        self.call(Method::POST, "/v1/key-packages", Some(&caller.token), Some(body)).await
    }

    /// Takes the KeyPackage of a person's only device, and whether it is the last resort.
    pub(crate) async fn claim_one(
        &self,
        caller: &Person,
        whose: &Person,
    ) -> Option<(Vec<u8>, bool)> {
        let body = self.claim(caller, &[whose]).await.ok();
        let device = body["accounts"][0]["devices"].get(0)?;
        let is_last_resort = device["last_resort"].as_bool().unwrap();
        Some((unbase64(&device["key_package"]), is_last_resort))
    }

    /// How many rows there are of KeyPackages, in all three tables.
    pub(crate) async fn key_package_rows(&self) -> [i64; 3] {
        let mut counts = [0; 3];
        let tables = ["one_time_key_packages", "last_resort_key_packages", "spent_key_packages"];
        for (count, table) in counts.iter_mut().zip(tables) {
            let statement = format!("SELECT count(*) FROM keys.{table}");
            *count = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
                .fetch_one(&self.db)
                .await
                .unwrap();
        }
        counts
    }
}
