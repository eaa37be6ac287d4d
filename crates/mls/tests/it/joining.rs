use openmls::prelude::{tls_codec::Serialize as _, *};
use sotto_mls::{
    config, tree,
    welcome::{self, WelcomeError},
    wire::{self, Malformed},
};

use crate::harness::{DOMAIN, Device, external_sender, policy};

#[test]
fn each_new_member_joins_with_its_part_of_the_welcome_and_a_compressed_tree() {
    let mut alice = Device::new(1, 1);
    let mut server = alice.create(&policy(&[1]));
    let mut others: Vec<_> = (2..8).map(|account| Device::new(account, 1)).collect();
    let packages: Vec<_> = others.iter().map(Device::key_package).collect();
    let refs: Vec<_> = packages
        .iter()
        .map(|package| package.hash_ref(alice.provider.crypto()).unwrap().as_slice().to_vec())
        .collect();
    let commit = alice.commit(|commit| commit.propose_adds(packages));
    server.judge(&commit.commit).unwrap();
    alice.merge();
    let whole = commit.welcome.unwrap();

    let trimmed = welcome::trim(&whole).unwrap();
    let compressed = tree::compress(&server.tree().tls_serialize_detached().unwrap());

    let for_whom: Vec<_> = trimmed.iter().map(|one| one.key_package_ref.clone()).collect();
    assert_eq!(for_whom, refs);
    for (device, one) in others.iter_mut().zip(&trimmed) {
        assert!(one.welcome.len() < whole.len() / 2, "{} of {}", one.welcome.len(), whole.len());
        let tree = tree::decompress(&compressed, tree::MAX_TREE_BYTES).unwrap();
        device.join(&one.welcome, wire::ratchet_tree(&tree).unwrap());
        assert_eq!(device.secret(), alice.secret());
        assert_eq!(*device.group().configuration(), config::join_config());
    }
}

#[test]
fn what_is_no_welcome_is_refused_by_name() {
    let mut alice = Device::new(1, 1);
    alice.create(&policy(&[1]));
    let bob = Device::new(2, 1).key_package();
    let commit = alice.commit(|commit| commit.propose_adds([bob]));
    let welcome = commit.welcome.unwrap();

    assert_eq!(welcome::trim(&commit.commit), Err(WelcomeError::Malformed));
    assert_eq!(welcome::trim(&welcome[..welcome.len() - 1]), Err(WelcomeError::Malformed));
    assert_eq!(welcome::trim(&[&welcome[..], &[0]].concat()), Err(WelcomeError::Malformed));
    assert_eq!(welcome::trim(&[]), Err(WelcomeError::Malformed));
    assert_eq!(welcome::trim(&vec![0; 512 * 1024 + 1]), Err(WelcomeError::TooLarge));
}

#[test]
fn a_key_package_is_usable_where_its_suite_and_its_capabilities_are_ours() {
    let bob = Device::new(2, 1);
    let other = |suite, capabilities| {
        KeyPackage::builder()
            .leaf_node_capabilities(capabilities)
            .build(suite, &bob.provider, &bob.signer, bob.credential())
            .unwrap()
            .into_key_package()
    };
    let chacha = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

    assert!(config::is_usable(&bob.key_package()));
    assert!(!config::is_usable(&other(chacha, sotto_mls::capabilities())));
    assert!(!config::is_usable(&other(sotto_mls::CIPHERSUITE, Capabilities::default())));
}

#[test]
fn what_is_cut_or_changed_is_refused_and_nothing_panics() {
    let mut alice = Device::new(1, 1);
    let mut server = alice.create(&policy(&[1]));
    let bob = Device::new(2, 1);
    let key_package = bob.key_package().tls_serialize_detached().unwrap();
    let info = alice.info(true);
    let commit = alice.commit(|commit| commit.propose_adds([bob.key_package()]));
    let welcome = commit.welcome.unwrap();
    let tree = server.tree().tls_serialize_detached().unwrap();
    let read = |bytes: &[u8]| {
        [
            wire::protocol_message(bytes).is_ok(),
            wire::group_info(bytes).is_ok(),
            wire::welcome(bytes).is_ok(),
            wire::key_package(bytes).is_ok(),
            wire::ratchet_tree(bytes).is_ok(),
        ]
    };

    for (place, whole) in
        [&commit.commit, &info, &welcome, &key_package, &tree].into_iter().enumerate()
    {
        assert!(read(whole)[place]);
        assert_eq!(read(whole).into_iter().filter(|ok| *ok).count(), 1);
        for cut in 0..whole.len() {
            assert!(!read(&whole[..cut])[place], "{cut} bytes of {place}");
        }
        for byte in 0..whole.len() {
            for bit in [0, 3, 6, 7] {
                let mut changed = whole.clone();
                changed[byte] ^= 1 << bit;
                read(&changed);
            }
        }
    }
    assert_eq!(wire::public_message(&welcome).err(), Some(Malformed));
    assert!(wire::public_message(&commit.commit).is_ok());
    server.judge(&commit.commit).unwrap();
}

#[test]
fn a_group_of_this_deployment_is_told_from_others() {
    let mut alice = Device::new(1, 1);
    alice.create(&policy(&[1]));
    let extensions = alice.group().extensions();
    let without = Extensions::single(policy(&[1]).to_extension()).unwrap();
    let more = {
        let mut more = extensions.clone();
        more.add(Extension::Unknown(0xF051, UnknownExtension(vec![]))).unwrap();
        more
    };
    let elsewhere = config::external_sender("elsewhere.example", &[7; 32]);
    let other_key = config::external_sender(DOMAIN, &[7; 32]);

    assert!(config::is_ours(extensions, &external_sender()));
    for other in [elsewhere, other_key] {
        assert!(!config::is_ours(extensions, &other));
    }
    for extensions in [without, more, Extensions::empty()] {
        assert!(!config::is_ours(&extensions, &external_sender()));
    }
}
