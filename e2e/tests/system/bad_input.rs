//! What wrong input gets: every endpoint and every frame of the socket, with what is
//! malformed, too large, of another type, or in the wrong state, in one table.

mod frames;
mod groups;
mod requests;
mod scene;

use sotto_e2e::{raw, rows::dump};
use sotto_testkit::Cluster;

use self::{frames::frames, requests::requests, scene::Scene};
use crate::contract;

/// I-9. Each row gets its named answer, and after all of them every row of all schemas
/// is as it was. Only `messages.overflows` is left out: a device is told how often something
/// was turned away at its full queue, and that is counted there.
///
/// Caught, each taken out alone: the challenge that is good once, the signatures of
/// prekeys, and the comparison of devices, by other answers. By rows that changed while all
/// answers were right: account and device of an acknowledgement, and the rollback of a
/// registration whose handle is taken.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_wrong_input_gets_its_name_and_changes_no_row() {
    let lonely = raw::lonely_app();
    let builder = sotto_load::settings::groups_without_limit()
        .into_iter()
        .fold(Cluster::builder(), |builder, (name, value)| builder.setting(name, value));
    let cluster = raw::with_app(&lonely, builder)
        .setting("messages.queue.max_bytes", "1MiB")
        .start()
        .await
        .unwrap();
    let scene = Box::pin(Scene::set(&cluster, &lonely)).await;
    let rows = async || {
        let mut rows = dump(cluster.database_url()).await.unwrap();
        rows.retain(|row| !row.starts_with("messages.overflows "));
        rows
    };
    let (requests, frames) = (requests(&scene).await, frames(&scene));
    let tried = requests.iter().map(|row| row.0).chain(frames.iter().map(|row| row.0));
    let missing = contract::missing(tried);
    assert!(missing.is_empty(), "nothing wrong is tried at {missing:?}");
    let before = rows().await;
    let mut wrong = Vec::new();

    for (at, what, ask, expected) in requests {
        let came = scene.raw.ask(ask).await.word();
        if came != expected {
            wrong.push(format!("{at}, {what}: {came}, expected: {expected}"));
        }
    }
    for (at, what, when, input, expected) in frames {
        let came = scene.say(when, input).await;
        if came != expected {
            wrong.push(format!("{at}, {what}, {when:?}: {came}, expected: {expected}"));
        }
    }

    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(scene.is_link_as_before().await, "what is in no row either");
    // Nobody says when an acknowledgement was worked through, but they are in order.
    scene.send_and_acknowledge_one_more().await;
    let after = rows().await;
    let changed = |a: &[String], b: &[String]| {
        a.iter().filter(|row| !b.contains(row)).cloned().collect::<Vec<_>>()
    };
    assert_eq!((changed(&before, &after), changed(&after, &before)), (vec![], vec![]));
    cluster.stop().await.unwrap();
}
