//! The loop of the vault's thread.

use rand::{SeedableRng as _, rngs::StdRng};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    Command, Job, Signals, Tx, VaultOptions, chains::ChainCache, group_outbox, held, messages,
    open, outbox, presence, receipts, tx::Effects,
};
use crate::{ClientError, groups::GroupCache};

/// What was computed or loaded before.
#[derive(Default)]
struct Caches {
    chains: ChainCache,
    groups: GroupCache,
}

pub(super) fn run(
    options: &VaultOptions,
    mut queue: mpsc::Receiver<Command>,
    opened: oneshot::Sender<Result<(), ClientError>>,
) {
    let db = open::open(&options.path, &options.key).and_then(|db| {
        options.signals.announce(
            &db,
            &Effects {
                outbox_changed: true,
                holds_changed: true,
                chores_changed: true,
                ..Effects::default()
            },
        )?;
        Ok(db)
    });
    let mut db = match db {
        Ok(db) => db,
        Err(error) => {
            drop(opened.send(Err(error)));
            return;
        }
    };
    drop(opened.send(Ok(())));

    let caches = Caches::default();
    let mut rng = StdRng::from_os_rng();
    while let Some((jobs, last)) = take(&mut queue, options.tuning.vault_batch) {
        work(&mut db, &caches, &mut rng, options, jobs);
        if last {
            break;
        }
    }
}

/// The jobs that wait, at least one; and whether to end after them.
fn take(queue: &mut mpsc::Receiver<Command>, most: usize) -> Option<(Vec<Box<dyn Job>>, bool)> {
    let mut next = Some(queue.blocking_recv()?);
    let mut jobs = Vec::new();
    while let Some(command) = next {
        match command {
            Command::Do(job) => jobs.push(job),
            Command::Close => return Some((jobs, true)),
        }
        next = if jobs.len() < most { queue.try_recv().ok() } else { None };
    }
    Some((jobs, false))
}

fn work(
    db: &mut Connection,
    caches: &Caches,
    rng: &mut StdRng,
    options: &VaultOptions,
    mut jobs: Vec<Box<dyn Job>>,
) {
    let committed = transact(db, caches, rng, options, &mut jobs).and_then(|effects| {
        options.signals.announce(db, &effects)?;
        Ok(effects)
    });
    match committed {
        Ok(effects) => {
            for event in effects.events {
                // Nobody may be listening.
                drop(options.signals.events.send(event));
            }
            for job in jobs {
                job.settle(Ok(()));
            }
        }
        Err(error) => {
            tracing::error!(error = %error, "the store did not commit");
            let text = error.to_string();
            for job in jobs {
                job.settle(Err(ClientError::Store(text.clone().into())));
            }
        }
    }
}

fn transact(
    db: &mut Connection,
    caches: &Caches,
    rng: &mut StdRng,
    options: &VaultOptions,
    jobs: &mut [Box<dyn Job>],
) -> rusqlite::Result<Effects> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut tx = Tx {
        db: &transaction,
        chains: &caches.chains,
        groups: &caches.groups,
        rng,
        tuning: &options.tuning,
        now_ms: options.clock.now_ms(),
        effects: Effects::default(),
    };
    for job in jobs {
        job.run(&mut tx);
    }
    let effects = tx.effects;
    transaction.commit()?;
    Ok(effects)
}

impl Signals {
    fn announce(&self, db: &Connection, effects: &Effects) -> rusqlite::Result<()> {
        if effects.outbox_changed {
            self.outbox.send_replace(outbox::count(db)? + group_outbox::count(db)?);
        }
        if effects.holds_changed {
            self.holds.send_replace(held::next_due(db)?);
        }
        if effects.chores_changed {
            let due = [receipts::next_due(db)?, messages::next_end(db)?, presence::next_end(db)?];
            self.chores.send_replace(due.into_iter().flatten().min());
        }
        Ok(())
    }
}
