use openmls::prelude::OpenMlsProvider as _;
use rand::{SeedableRng as _, rngs::StdRng};
use sotto_mls::{
    Policy, config,
    metadata::{self, EXPORTER_LABEL, KEY_BYTES, Metadata, MetadataError},
};

use crate::harness::{Device, group_of, mls_id, policy};

fn key(device: &Device) -> [u8; KEY_BYTES] {
    let crypto = device.provider.crypto();
    let key = device.group().export_secret(crypto, EXPORTER_LABEL, b"", KEY_BYTES).unwrap();
    key.try_into().unwrap()
}

fn some(version: u64, name: &str, rng: &mut StdRng) -> Metadata {
    Metadata::new(version, name.to_owned(), vec![1; 300], rng).unwrap()
}

fn naming(metadata: &Metadata) -> Policy {
    Policy {
        metadata_version: metadata.version,
        metadata_hash: Some(metadata.hash()),
        ..policy(&[1])
    }
}

#[test]
fn members_read_what_the_committer_sealed_and_who_was_removed_does_not() {
    let mut rng = StdRng::seed_from_u64(1);
    let first = some(1, "Before", &mut rng);
    let mut devices = [Device::new(1, 1), Device::new(2, 1), Device::new(3, 1)];
    let mut server = group_of(&naming(&first), &mut devices);
    let [mut alice, mut bob, carol] = devices;
    let sealed = metadata::seal(&key(&alice), &mls_id(), 1, &first, &mut rng).unwrap();
    for device in [&bob, &carol] {
        let opened = metadata::open(&key(device), &mls_id(), 1, &sealed, &naming(&first));
        assert_eq!(opened.unwrap(), first);
    }

    let second = some(2, "After", &mut rng);
    let extensions = config::with_policy(alice.group().extensions(), &naming(&second)).unwrap();
    let commit = alice.commit(|commit| {
        let gone = commit.propose_removals([carol.index()]);
        gone.propose_group_context_extensions(extensions).unwrap()
    });
    let policy = server.judge(&commit.commit).unwrap().policy;
    bob.judge(&commit.commit).unwrap();
    alice.merge();
    let sealed = metadata::seal(&key(&alice), &mls_id(), 2, &second, &mut rng).unwrap();

    assert_eq!(metadata::open(&key(&bob), &mls_id(), 2, &sealed, &policy).unwrap(), second);
    assert_eq!(
        metadata::open(&key(&carol), &mls_id(), 2, &sealed, &policy),
        Err(MetadataError::Unreadable)
    );
}

#[test]
fn metadata_open_only_where_they_belong_and_only_those_that_the_policy_names() {
    let mut rng = StdRng::seed_from_u64(2);
    let (key, id) = ([7; KEY_BYTES], mls_id());
    let metadata = some(3, "Garden", &mut rng);
    let sealed = metadata::seal(&key, &id, 5, &metadata, &mut rng).unwrap();
    let named = naming(&metadata);
    let open = |key: &[u8; KEY_BYTES], id: &[u8], epoch, sealed: &[u8], policy: &Policy| {
        metadata::open(key, id, epoch, sealed, policy)
    };
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    let version = Policy { metadata_version: 4, ..named.clone() };

    assert_eq!(open(&key, &id, 5, &sealed, &named), Ok(metadata.clone()));
    assert_eq!(open(&[8; KEY_BYTES], &id, 5, &sealed, &named), Err(MetadataError::Unreadable));
    assert_eq!(open(&key, &id[1..], 5, &sealed, &named), Err(MetadataError::Unreadable));
    assert_eq!(open(&key, &id, 6, &sealed, &named), Err(MetadataError::Unreadable));
    assert_eq!(open(&key, &id, 5, &changed, &named), Err(MetadataError::Unreadable));
    assert_eq!(open(&key, &id, 5, &[], &named), Err(MetadataError::Unreadable));
    assert_eq!(open(&key, &id, 5, &sealed, &version), Err(MetadataError::NotThese));
    assert_eq!(open(&key, &id, 5, &sealed, &policy(&[1])), Err(MetadataError::NotThese));
    // The same name and picture under another salt are others.
    let again = some(3, "Garden", &mut rng);
    assert_ne!(again.hash(), metadata.hash());
    assert_eq!(open(&key, &id, 5, &sealed, &naming(&again)), Err(MetadataError::NotThese));
}

#[test]
fn sizes_of_sealed_metadata_say_little_and_fit_their_bound() {
    let mut rng = StdRng::seed_from_u64(3);
    let mut size = |name: &str, picture| {
        let metadata = Metadata::new(1, name.to_owned(), vec![1; picture], &mut rng)?;
        metadata::seal(&[7; KEY_BYTES], &mls_id(), 1, &metadata, &mut rng)
            .map(|sealed| sealed.len())
    };
    let largest = "\u{1F333}".repeat(100);

    assert_eq!(size("A", 0), size("A much longer name, of more words", 0));
    assert!(size(&largest, 16 * 1024).unwrap() <= sotto_ids::limits::MAX_SEALED_METADATA_BYTES);
    assert_eq!(size(&"x".repeat(101), 0), Err(MetadataError::TooLarge));
    assert_eq!(size("A", 16 * 1024 + 1), Err(MetadataError::TooLarge));
}
