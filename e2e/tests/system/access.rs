//! Who may do what: every endpoint and every frame of the socket, for every kind of
//! caller, in one table.

mod acts;
mod groups;
mod scene;
mod table;

use sotto_e2e::{raw, rows::dump};
use sotto_testkit::Cluster;

use self::{
    scene::{Scene, Who},
    table::table,
};
use crate::contract;

/// I-7, I-10. Each cell is tried against the real thing. A refusal changes no row, and
/// what is granted changes nothing on the owner's shelf of prekeys unless the cell says so.
///
/// Caught, each taken out alone, with the cells that failed:
///
/// - the revocation in `check_live`: uploads, bundles, digest, login and appending by the
///   revoked device;
/// - `not_your_account` in `append`: the two strangers, who had an op that was signed right;
/// - `not_interoperable` of bundles: the wrong tenant; `unknown_sender`: the revoked device,
///   over REST and in the moment between its Hello and its close;
/// - `revoked` of a page: the revoked device, whose sockets are open in silence then;
/// - the proof of a login: both devices beside the owner's; the binding: both strangers;
/// - `token_other_device`: all three who are not the owner;
/// - account and device of an acknowledgement: all three, over REST and on the socket.
#[tokio::test(flavor = "multi_thread")]
async fn every_caller_may_do_what_the_table_says_and_nothing_else() {
    let lonely = raw::lonely_app();
    let builder = sotto_load::settings::groups_without_limit()
        .into_iter()
        .fold(Cluster::builder(), |builder, (name, value)| builder.setting(name, value))
        .setting("groups.acks.every", "20ms");
    let cluster = raw::with_app(&lonely, builder).start().await.unwrap();
    let mut scene = Scene::set(&cluster, lonely).await;
    let mut wrong = Vec::new();

    for row in table() {
        for (who, expected) in Who::ALL.into_iter().zip(row.expected) {
            scene.prepare(row.act, who).await;
            let before = dump(cluster.database_url()).await.unwrap();
            let mut came = scene.act(row.act, who).await;
            let after = dump(cluster.database_url()).await.unwrap();
            if scene.shelf(&before) != scene.shelf(&after) {
                came.push_str(", the owner's shelf");
            } else if scene::is_refusal(&came) && before != after {
                came.push_str(", and rows changed");
            }
            if came != expected {
                wrong.push(format!("{}, {who:?}: {came}, expected: {expected}", row.name()));
            }
        }
    }

    assert!(wrong.is_empty(), "{} cells differ:\n{}", wrong.len(), wrong.join("\n"));
    cluster.stop().await.unwrap();
}

/// What was added to the API or to the socket, and is in no row.
#[test]
fn the_table_has_every_endpoint_and_every_frame() {
    let missing = contract::missing(table().iter().map(|row| row.at));

    assert!(missing.is_empty(), "{missing:?}");
}
