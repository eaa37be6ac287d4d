//! What is wrong is named, and changes nothing.

use std::time::Duration;

use sqlx::PgPool;

use crate::harness::{Answer, DAY, Device, Letter, Link, MINUTE, Stage, gateway, someone};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn devices_that_are_missing_extra_or_stale_are_named_and_nothing_is_stored(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(4));
    stage.keys.set("socialink", &bob[..3]);
    let renewed = Device { registration_id: 7, ..bob[2] };
    let letters = [
        Letter::new(alice[0], &bob[..2], stage.now_ms()),
        Letter::new(alice[0], &bob, stage.now_ms()),
        Letter::new(alice[0], &[bob[0], bob[1], renewed], stage.now_ms()),
    ];

    let mut mismatches = Vec::new();
    for letter in &letters {
        let Answer::Mismatch(mismatch) = link.send(letter).await else { panic!("not a mismatch") };
        mismatches.push((mismatch.missing, mismatch.extra, mismatch.stale));
    }

    assert_eq!(mismatches[0], (vec![3], vec![], vec![]), "missing");
    assert_eq!(mismatches[1], (vec![], vec![4], vec![]), "extra");
    assert_eq!(mismatches[2], (vec![], vec![], vec![3]), "stale");
    for device in bob {
        assert!(stage.queue(device).await.is_empty());
    }
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_clock_that_is_far_off_is_told_the_time(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let now_ms = stage.now_ms();
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();

    for wrong in [now_ms + ms(5 * MINUTE) + 1, now_ms - ms(DAY) - 1] {
        let answer = link.send(&Letter::new(alice[0], &bob, wrong)).await;
        assert_eq!(answer.reason(), "clock_skew");
        let Answer::Refused(error) = answer else { unreachable!() };
        assert_eq!((error.server_time_ms, error.retry_after_ms), (now_ms, 0));
    }
    for bearable in [now_ms + ms(5 * MINUTE), now_ms - ms(DAY)] {
        let answer = link.send(&Letter::new(alice[0], &bob, bearable)).await;
        assert_eq!(answer, Answer::Accepted);
    }
    assert_eq!(stage.queue(bob[0]).await.len(), 2);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn each_refusal_has_its_reason_and_leaves_the_others_of_its_batch_alone(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let stranger = stage.account_of("elsewhere", 1);
    let mut nobody = bob[0];
    nobody.address.account = someone();
    let right = Letter::new(alice[0], &bob, stage.now_ms());
    let again = || Letter::new(alice[0], &bob, stage.now_ms());
    let cases = [
        ("unknown_recipient", Letter::new(alice[0], &[nobody], stage.now_ms())),
        ("not_interoperable", Letter::new(alice[0], &stranger, stage.now_ms())),
        ("empty_ciphertext", again().body("")),
        ("ciphertext_too_large", again().body(vec![0; 64 * 1024 + 1])),
        ("duplicate_device", Letter { to: vec![bob[0], bob[0]], ..again() }),
        ("too_many_devices", Letter { to: vec![bob[0]; 11], ..again() }),
        ("ttl_too_long", Letter { ttl_seconds: 30 * 24 * 60 * 60 + 1, ..again() }),
    ];
    let mut letters: Vec<Letter> = cases.iter().map(|(_, letter)| letter.clone()).collect();
    letters.push(right.clone());

    let frames = link.submit(&letters).await;

    for ((reason, _), frame) in cases.iter().zip(&frames) {
        assert_eq!(link.answer(*frame).await.reason(), *reason);
    }
    assert_eq!(link.answer(frames[cases.len()]).await, Answer::Accepted);
    assert_eq!(stage.queue(bob[0]).await, [right.envelope_id(bob[0])]);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn two_apps_that_list_each_other_write_to_each_other(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, victor) = (stage.account(1), stage.account_of("vignette", 1));

    let answer = link.send(&Letter::new(alice[0], &victor, stage.now_ms())).await;

    assert_eq!(answer, Answer::Accepted);
    stage.end().await;
}
