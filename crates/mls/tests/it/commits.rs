use openmls::prelude::*;
use sotto_mls::{
    Members, Policy, PolicyError,
    commit::{Checked, CommitError},
    config,
    identity::LeafId,
    policy::Committer,
};

use crate::harness::{Device, Server, account, external_sender, group_of, policy};

/// The group of all tests: alice is admin, bob has two devices, carol has one.
fn group() -> (Server, [Device; 4]) {
    let mut devices = [Device::new(1, 1), Device::new(2, 1), Device::new(2, 2), Device::new(3, 1)];
    let server = group_of(&policy(&[1]), &mut devices);
    (server, devices)
}

/// What author, server and all other members say to a commit: it has to be the same.
fn verdict(
    server: &mut Server,
    devices: &mut [Device],
    author: usize,
    what: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
) -> Result<Checked, CommitError> {
    let commit = devices[author].commit(what);
    let verdict = server.judge(&commit.commit);
    for (place, device) in devices.iter_mut().enumerate() {
        let own =
            if place == author { commit.verdict.clone() } else { device.judge(&commit.commit) };
        match (&verdict, own) {
            (Ok(server), Ok(own)) => {
                assert_eq!(own.claims, server.claims);
                assert_eq!(own.policy, server.policy);
                assert_eq!(own.members, server.members);
            }
            (Err(server), Err(own)) => assert_eq!(own, *server),
            (server, own) => panic!("server: {server:?}, a member: {own:?}"),
        }
    }
    if verdict.is_ok() {
        devices[author].merge();
    } else {
        devices[author].forget_commit();
    }
    verdict
}

fn refused(verdict: Result<Checked, CommitError>) -> PolicyError {
    match verdict {
        Err(CommitError::NotAllowed(rule)) => rule,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn server_and_members_allow_the_same() {
    let (mut server, mut devices) = group();
    let eve = Device::new(5, 1);
    let [alice, bob, _, carol] = [0, 1, 2, 3].map(|place| devices[place].index());

    let added =
        verdict(&mut server, &mut devices, 0, |commit| commit.propose_adds([eve.key_package()]))
            .unwrap();
    assert_eq!(added.committer, Committer::Member(alice));
    assert_eq!(added.claims, [devices[0].claim(), eve.claim()]);
    assert_eq!(added.changes.adds, [eve.leaf]);

    let updated = verdict(&mut server, &mut devices, 3, |commit| commit).unwrap();
    assert_eq!(updated.claims, [devices[3].claim()]);

    let open = Policy { members_may_add: true, ..policy(&[1]) };
    let extensions = config::with_policy(devices[0].group().extensions(), &open).unwrap();
    let opened = verdict(&mut server, &mut devices, 0, |commit| {
        commit.propose_group_context_extensions(extensions).unwrap()
    })
    .unwrap();
    assert_eq!(opened.policy, open);
    assert!(config::is_ours(devices[1].group().extensions(), &external_sender()));

    let frank = Device::new(6, 1);
    verdict(&mut server, &mut devices, 3, |commit| commit.propose_adds([frank.key_package()]))
        .unwrap();
    let gone =
        verdict(&mut server, &mut devices, 0, |commit| commit.propose_removals([carol])).unwrap();
    assert_eq!(gone.changes.removals[0].index, carol);
    assert!(!devices[3].group().is_active());
    assert!(!Members::of(&server.group).unwrap().has_account(&devices[3].leaf.account));
    assert_eq!(Members::of(&server.group).unwrap().at(bob), Some(devices[1].leaf));
}

#[test]
fn server_and_members_refuse_the_same() {
    let (mut server, mut devices) = group();
    let eve = Device::new(5, 1);
    let carol = devices[3].index();
    let mut extensions = devices[0].group().extensions().clone();

    let adds =
        verdict(&mut server, &mut devices, 1, |commit| commit.propose_adds([eve.key_package()]));
    assert_eq!(refused(adds), PolicyError::Add);

    let removes = verdict(&mut server, &mut devices, 1, |commit| commit.propose_removals([carol]));
    assert_eq!(refused(removes), PolicyError::Remove);

    let mine = config::with_policy(&extensions, &policy(&[1, 2])).unwrap();
    let grabs = verdict(&mut server, &mut devices, 1, |commit| {
        commit.propose_group_context_extensions(mine).unwrap()
    });
    assert_eq!(refused(grabs), PolicyError::Policy);

    let other = config::external_sender("evil.example", &[7; 32]);
    extensions.add_or_replace(Extension::ExternalSenders(vec![other])).unwrap();
    let replaces = verdict(&mut server, &mut devices, 0, |commit| {
        commit.propose_group_context_extensions(extensions).unwrap()
    });
    assert_eq!(refused(replaces), PolicyError::Extensions);

    let renamed = LeafId::new(account(1), devices[1].leaf.device);
    let parameters = LeafNodeParameters::builder()
        .with_credential_with_key(renamed.credential_with_key(&devices[1].signer.public_key()))
        .build();
    let renames =
        verdict(&mut server, &mut devices, 1, |commit| commit.leaf_node_parameters(parameters));
    assert_eq!(refused(renames), PolicyError::LeafIdentity);

    // Nothing of all this has stuck.
    verdict(&mut server, &mut devices, 3, |commit| commit).unwrap();
}

#[test]
fn who_leaves_and_who_was_revoked_goes_with_the_next_commit() {
    let (mut server, mut devices) = group();
    let phone = devices[1].index();
    let leave = devices[3].leave();
    assert_eq!(server.hear(&leave), Some(devices[3].index()));
    let revoked = server.revoke(phone);
    assert_eq!(server.hear(&revoked), None);
    for (place, device) in devices.iter_mut().enumerate() {
        if place != 3 {
            device.hear(&leave);
        }
        device.hear(&revoked);
    }

    let commit = devices[2].commit(|commit| commit);
    let by_author = commit.verdict.unwrap();
    assert_eq!(by_author.changes.removals.len(), 2);
    server.judge(&commit.commit).unwrap();
    for place in [0, 1, 3] {
        devices[place].judge(&commit.commit).unwrap();
    }

    let left = Members::of(&server.group).unwrap();
    assert_eq!(
        left.iter().map(|(_, leaf)| leaf).collect::<Vec<_>>(),
        [devices[0].leaf, devices[2].leaf]
    );
    assert!(!devices[1].group().is_active() && !devices[3].group().is_active());
}

#[test]
fn an_update_that_another_would_commit_has_no_place() {
    let (mut server, mut devices) = group();
    let device = &mut devices[1];
    let (update, _) = device
        .group
        .as_mut()
        .unwrap()
        .propose_self_update(&device.provider, &device.signer, LeafNodeParameters::default())
        .unwrap();
    let update = update.to_bytes().unwrap();
    assert_eq!(server.hear(&update), None, "it is no leave, and so a server does not store it");
    devices[0].hear(&update);

    let commit = devices[0].commit(|commit| commit);

    assert_eq!(refused(commit.verdict), PolicyError::Proposal);
    assert_eq!(refused(server.judge(&commit.commit)), PolicyError::Proposal);
}

#[test]
fn devices_of_members_come_in_and_come_back_by_themselves_and_strangers_do_not() {
    let (mut server, mut devices) = group();
    let join = |device: &mut Device, devices: &[Device], server: &mut Server| {
        let tree = server.tree().into();
        let commit = device.join_by_itself(&devices[0].info(false), tree);
        (server.judge(&commit), commit)
    };

    let mut eve = Device::new(5, 1);
    let (stranger, commit) = join(&mut eve, &devices, &mut server);
    assert_eq!(refused(stranger), PolicyError::ExternalJoin);
    assert_eq!(refused(devices[1].judge(&commit)), PolicyError::ExternalJoin);

    let mut laptop = Device::new(3, 2);
    let (came, commit) = join(&mut laptop, &devices, &mut server);
    let came = came.unwrap();
    assert_eq!(came.committer, Committer::External(laptop.leaf));
    assert_eq!(came.claims, [laptop.claim()]);
    for device in &mut devices {
        assert_eq!(device.judge(&commit).unwrap().claims, came.claims);
    }

    // Bob's phone has lost its state and comes back: its old leaf goes.
    let mut phone = Device::new(2, 1);
    let (back, commit) = join(&mut phone, &devices, &mut server);
    assert_eq!(back.unwrap().changes.removals.len(), 1);
    for place in [0, 1, 2, 3] {
        devices[place].judge(&commit).unwrap();
    }
    assert_eq!(Members::of(&server.group).unwrap().len(), 5);
    assert_eq!(phone.secret(), devices[0].secret());
}
