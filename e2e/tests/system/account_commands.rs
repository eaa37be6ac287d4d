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
