//! Devices that run the real SDK: sessions, ratchets, an encrypted store, an outbox.
//!
//! They cost a hundred times what a [light](crate::light) device costs, and are what
//! correctness is judged with: what they show is what a person would see.

mod ear;
mod outgoing;
mod person;
mod text;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sotto_testkit::{Cluster, cluster::APPS};
use tempfile::TempDir;

pub use self::{
    ear::Heard,
    person::{Person, Seat},
};
use crate::oracle::Oracle;

/// Registrations under way at once: more would only wait for the processors.
const AT_ONCE: usize = 6;

/// A folder in memory, where stores of devices that nobody kills do not compete with
/// Postgres for the disk.
const IN_MEMORY: &str = "/dev/shm";

/// All devices of a run, each of an account of its own.
#[derive(Debug)]
pub struct Crowd {
    people: Vec<Person>,
    // Goes after the clients that have their stores in it.
    _stores: TempDir,
}

/// What a crowd is made of.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How many devices.
    pub people: usize,
    /// To how many others each of them writes.
    pub contacts: usize,
    /// What their order and their contacts follow from.
    pub seed: u64,
}

impl Crowd {
    /// Registers everybody and makes them known to their contacts. Nobody is online yet.
    ///
    /// # Errors
    ///
    /// When a registration fails.
    pub async fn register(
        size: Size,
        cluster: &Cluster,
        oracle: &Arc<Oracle>,
        heard: &Arc<Heard>,
        tell: impl Fn(usize),
    ) -> anyhow::Result<Self> {
        let stores = stores()?;
        let [one_app, other_app] = APPS;
        let mut done = 0;
        let seats = (0..size.people).map(|number| {
            let user = format!("load-{number}");
            let app = if number % 2 == 0 { one_app } else { other_app };
            let mut sockets = cluster.socket_urls();
            let gateways = sockets.len().max(1);
            sockets.rotate_left(number % gateways);
            Seat {
                number: u32::try_from(number).unwrap_or(u32::MAX),
                app_token: cluster.app_token(app, &user),
                domain: cluster.domain().to_owned(),
                rest: cluster.rest_url(),
                sockets,
                store: stores.path().join(format!("{number}.db")),
            }
        });
        let mut registering = stream::iter(seats)
            .map(|seat| Person::register(seat, Arc::clone(oracle), Arc::clone(heard)))
            .buffered(AT_ONCE);
        let mut people = Vec::with_capacity(size.people);
        while let Some(person) = registering.next().await {
            people.push(person.context("a registration failed")?);
            done += 1;
            tell(done);
        }
        drop(registering);
        meet(&people, size).await?;
        Ok(Self { people, _stores: stores })
    }

    /// Everybody, by their number.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Connects everybody, and waits until all are.
    ///
    /// # Errors
    ///
    /// When somebody does not get there.
    pub async fn go_online(&self) -> anyhow::Result<()> {
        self.each(Person::go_online).await
    }

    /// Reads the store of everybody: the second witness, beside the events that were told
    /// as they happened.
    ///
    /// # Errors
    ///
    /// Those of the stores.
    pub async fn testify(&self, oracle: &Oracle) -> anyhow::Result<()> {
        // What was offered has to be known before it can be shown.
        for person in &self.people {
            person.testify_sent(oracle).await?;
        }
        for person in &self.people {
            person.testify_received(oracle).await?;
        }
        Ok(())
    }

    /// Ends everybody.
    pub async fn close(self) {
        stream::iter(self.people).for_each_concurrent(AT_ONCE, Person::close).await;
    }

    async fn each<'a, F>(&'a self, act: impl Fn(&'a Person) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        stream::iter(&self.people).map(act).buffered(AT_ONCE).try_collect().await
    }
}

/// Gives everybody their contacts: the next in the row, so that all are connected, and
/// others by lot.
async fn meet(people: &[Person], size: Size) -> anyhow::Result<()> {
    let mut rng = StdRng::seed_from_u64(size.seed);
    let count = people.len();
    let lots: Vec<Vec<usize>> = (0..count)
        .map(|number| {
            let mut chosen = vec![(number + 1) % count];
            while chosen.len() < size.contacts.min(count - 1) {
                let other = rng.random_range(0..count);
                if other != number && !chosen.contains(&other) {
                    chosen.push(other);
                }
            }
            chosen
        })
        .collect();
    stream::iter(people.iter().zip(lots))
        .map(|(person, chosen)| async move {
            for other in chosen.into_iter().filter_map(|other| people.get(other)) {
                person.meet(other).await?;
            }
            anyhow::Ok(())
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
        .context("people do not get to know each other")
}

fn stores() -> anyhow::Result<TempDir> {
    let in_memory = PathBuf::from(IN_MEMORY);
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("sotto-load-");
        builder
    };
    let made =
        if in_memory.is_dir() { builder().tempdir_in(in_memory) } else { builder().tempdir() };
    made.context("cannot make a folder for the stores of the devices")
}
