//! Looking after an account on the terminal.

use sotto_testkit::Cluster;
use tempfile::TempDir;

use super::commands::Terminal;

/// C06, C08: a device is linked as an admin, takes the first one off, and both are gone once
/// the words have brought the account back.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_looked_after_with_commands_alone() {
    let cluster = Cluster::builder().start().await.unwrap();
    let phone = Terminal::new(&cluster, "vignette", "bob");
    let laptop = Terminal::new(&cluster, "vignette", "bob");
    let wiped = Terminal::new(&cluster, "vignette", "bob");
    let folder = TempDir::new().unwrap();
    let words_file = folder.path().join("words");
    let words_file = words_file.to_str().unwrap();
    let registered = phone.run(&["register", "--handle", "bob"]).await;
    std::fs::write(words_file, registered[0]["words"].as_str().unwrap()).unwrap();

    let (shown, linking) = laptop.begin(&["device", "link", "--account", "bob"]).await;
    let link = shown["link"].as_str().unwrap();
    assert_eq!(phone.run(&["device", "approve", link, "--admin"]).await[0]["device"], 2);
    assert!(linking.wait_with_output().await.unwrap().status.success());
    assert_eq!(laptop.run(&["whoami"]).await[0]["admin"], true);
    assert_eq!(phone.fails(&["device", "approve", link]).await, ("link_taken".into(), Some(3)));

    let relay = ["relay", "https://lumen.chat/"];
    laptop.run(&["endpoint", "add", relay[0], relay[1]]).await;
    assert_eq!(phone.run(&["endpoint", "list"]).await[0]["url"], relay[1]);
    laptop.run(&["endpoint", "drop", relay[0], relay[1]]).await;
    assert!(phone.run(&["endpoint", "list"]).await.is_empty());
    assert_eq!(phone.fails(&["device", "revoke", "1"]).await.0, "admin_leaves");
    laptop.run(&["device", "revoke", "1"]).await;
    assert_eq!(phone.fails(&["account", "rotate"]).await, ("not_admin".into(), Some(3)));
    laptop.run(&["account", "rotate"]).await;

    let recover = ["account", "recover", "bob", "--words-file", words_file];
    let back = wiped.run(&recover).await;
    assert_eq!(back[0]["account"], registered[1]["account"]);
    assert_eq!((&back[0]["device"], &back[0]["handle"]), (&3.into(), &"bob".into()));
    assert_eq!(laptop.fails(&["prekeys"]).await, ("device_revoked".into(), Some(4)));
    let set = ["account", "set-recovery", "--words-file", words_file];
    assert_eq!(wiped.run(&set).await[1]["type"], "recovery_set");
    assert_eq!(wiped.fails(&set).await, ("wrong_phrase".into(), Some(4)));
    cluster.stop().await.unwrap();
}

/// C03, C15: a name is looked up, and two people compare by codes.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_make_sure_of_each_other_with_commands_alone() {
    let cluster = Cluster::builder().start().await.unwrap();
    let alice = Terminal::new(&cluster, "socialink", "alice");
    let bob = Terminal::new(&cluster, "vignette", "bob");
    alice.run(&["register", "--handle", "alice"]).await;
    let registered = bob.run(&["register", "--handle", "bob"]).await;

    let shown = alice.run(&["identity", "show", "bob"]).await;
    assert_eq!(shown[0]["account"], registered[1]["account"]);
    assert_eq!(shown[0]["devices"].as_array().unwrap().len(), 1);
    let nobody = alice.fails(&["identity", "show", "nobody"]).await;
    assert_eq!(nobody, ("unknown_account".into(), Some(4)));

    let hers = alice.run(&["verify", "bob", "--code"]).await;
    let hers = hers[0]["code"].as_str().unwrap();
    assert_eq!(bob.run(&["verify", "alice", "--scan", hers]).await[0]["type"], "verified");
    let own = alice.fails(&["verify", "bob", "--scan", hers]).await;
    assert_eq!(own, ("code_of_another_account".into(), Some(2)));
    bob.run(&["account", "rotate"]).await;
    let outdated = bob.fails(&["verify", "alice", "--scan", hers]).await;
    assert_eq!(outdated, ("code_differs".into(), Some(6)));
    let his = bob.run(&["verify", "alice", "--code"]).await;
    alice.run(&["verify", "bob", "--scan", his[0]["code"].as_str().unwrap()]).await;
    assert_eq!(alice.run(&["contacts"]).await[0]["key_changed"], false);
    cluster.stop().await.unwrap();
}

/// Evidence is looked at with no profile and no server at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_proves_nothing_is_named() {
    let cluster = Cluster::builder().start().await.unwrap();
    let anybody = Terminal::new(&cluster, "vignette", "anybody");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("evidence");
    std::fs::write(&file, "sotto/fork/v1\n").unwrap();

    let verified = anybody.fails(&["evidence", "verify", file.to_str().unwrap()]).await;

    assert_eq!(verified, ("no_evidence".into(), Some(4)));
    cluster.stop().await.unwrap();
}
