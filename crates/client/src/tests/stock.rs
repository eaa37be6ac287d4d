//! Upkeep of the prekeys.

use super::Party;
use crate::{
    prekeys::{Fill, Plan, plan},
    rest::wire::KeyCount,
    vault::prekeys::{self, OneTime, Standing},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What the server says it has: so many one-time keys of each kind, and these
/// standing keys.
fn count(one_time: u32, standing: Option<(u32, u32)>) -> KeyCount {
    KeyCount {
        key_packages: 0,
        last_resort_key_package: false,
        one_time_ec: one_time,
        one_time_kyber: one_time,
        highest_one_time_ec: None,
        highest_kyber: None,
        signed_ec: standing.map(|(signed_ec, _)| signed_ec),
        last_resort_kyber: standing.map(|(_, last_resort)| last_resort),
    }
}

async fn planned(party: &Party, count: KeyCount, fill: Fill) -> Plan {
    party.vault.run(move |tx| plan(tx, &count, fill)).await.unwrap()
}

/// The server took all of it. Gives the ids of the standing keys.
async fn uploaded(party: &Party, plan: &Plan) -> (u32, u32) {
    let ec: Vec<_> = plan.one_time_ec.iter().map(|key| key.key_id).collect();
    let kyber: Vec<_> = plan.one_time_kyber.iter().map(|key| key.key_id).collect();
    let signed_ec = plan.signed_ec.as_ref().unwrap().key_id;
    let last_resort = plan.last_resort.as_ref().unwrap().key_id;
    party
        .vault
        .run(move |tx| {
            prekeys::set_published(tx.db, OneTime::Ec, &ec)?;
            prekeys::set_published(tx.db, OneTime::Kyber, &kyber)?;
            prekeys::replace(tx.db, Standing::SignedEc, signed_ec, tx.now_ms)?;
            Ok(prekeys::replace(tx.db, Standing::LastResort, last_resort, tx.now_ms)?)
        })
        .await
        .unwrap();
    (signed_ec, last_resort)
}

#[tokio::test]
async fn a_new_device_uploads_a_whole_stock_and_the_same_again_until_it_is_there() {
    let party = Party::new().await;

    let first = planned(&party, count(0, None), Fill::IfLow).await;
    let again = planned(&party, count(0, None), Fill::IfLow).await;

    assert_eq!((first.one_time_ec.len(), first.one_time_kyber.len()), (100, 100));
    let bytes = |plan: &Plan| {
        let one_time: Vec<_> =
            plan.one_time_ec.iter().map(|key| (key.key_id, key.public_key.clone())).collect();
        (one_time, plan.last_resort.as_ref().unwrap().public_key.clone())
    };
    assert!(bytes(&first) == bytes(&again));
    let standing = uploaded(&party, &first).await;
    assert!(planned(&party, count(100, Some(standing)), Fill::IfLow).await.is_empty());
}

#[tokio::test]
async fn a_low_stock_is_filled_up_to_its_target() {
    let party = Party::new().await;
    let first = planned(&party, count(0, None), Fill::IfLow).await;
    let standing = uploaded(&party, &first).await;

    let enough = planned(&party, count(25, Some(standing)), Fill::IfLow).await;
    assert!(enough.is_empty());
    let low = planned(&party, count(24, Some(standing)), Fill::IfLow).await;

    assert_eq!((low.one_time_ec.len(), low.one_time_kyber.len()), (76, 76));
    assert!(low.one_time_ec[0].key_id > first.one_time_ec[99].key_id, "ids only rise");
}

#[tokio::test]
async fn the_server_may_think_it_time_earlier() {
    let party = Party::new().await;
    let first = planned(&party, count(0, None), Fill::IfLow).await;
    let standing = uploaded(&party, &first).await;

    let plan = planned(&party, count(60, Some(standing)), Fill::Now).await;

    assert_eq!(plan.one_time_ec.len(), 40);
}

#[tokio::test]
async fn standing_keys_are_replaced_each_week_and_kept_for_what_is_under_way() {
    let party = Party::new().await;
    let first = planned(&party, count(0, None), Fill::IfLow).await;
    let old = uploaded(&party, &first).await;

    party.after_ms(7 * DAY_MS);
    let second = planned(&party, count(100, Some(old)), Fill::IfLow).await;
    let new = uploaded(&party, &second).await;
    assert!(new.0 > old.0 && new.1 > old.1);
    let has_old = async || {
        let found = party.vault.run(move |tx| {
            let signed_ec = prekeys::signed_ec(tx.db, old.0)?.is_some();
            Ok((signed_ec, prekeys::kyber(tx.db, old.1)?.is_some()))
        });
        found.await.unwrap()
    };
    assert_eq!(has_old().await, (true, true));

    party.after_ms(46 * DAY_MS);
    planned(&party, count(100, Some(new)), Fill::IfLow).await;
    assert_eq!(has_old().await, (false, false));
}

#[tokio::test]
async fn a_store_that_was_put_back_uses_no_id_again() {
    let party = Party::new().await;

    let seen =
        KeyCount { highest_one_time_ec: Some(5_000), highest_kyber: Some(6_000), ..count(0, None) };
    let plan = planned(&party, seen, Fill::IfLow).await;

    // The few that were made before are offered as well; the server knows what to
    // make of them.
    let fresh = |ids: Vec<u32>, highest: u32| ids.iter().filter(|&&id| id > highest).count();
    let ec = plan.one_time_ec.iter().map(|key| key.key_id).collect();
    let kyber = plan.one_time_kyber.iter().map(|key| key.key_id).collect();
    assert_eq!((fresh(ec, 5_000), fresh(kyber, 6_000)), (96, 96));
}
