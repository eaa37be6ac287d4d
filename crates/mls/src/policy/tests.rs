use openmls::prelude::LeafNodeIndex;
use proptest::prelude::*;
use sotto_ids::{AccountId, DeviceId};
use sotto_proto::groups::GroupPolicy;

use super::*;
use crate::{LeafId, Members, identity::Claim};

/// Accounts of the tests. In [`group`], alice is admin with two devices, bob, carol and dave
/// have one each, and eve is not in it.
const ALICE: u8 = 1;
const BOB: u8 = 2;
const CAROL: u8 = 3;
const EVE: u8 = 5;

const ALICE_PHONE: u32 = 0;
const ALICE_LAPTOP: u32 = 1;
const BOB_PHONE: u32 = 2;
const CAROL_PHONE: u32 = 3;
const NOBODY: u32 = 9;

fn account(number: u8) -> AccountId {
    AccountId::new([number; 32])
}

fn leaf(number: u8, device: u32) -> LeafId {
    LeafId::new(account(number), DeviceId::try_from(device).unwrap())
}

fn index(index: u32) -> LeafNodeIndex {
    LeafNodeIndex::new(index)
}

fn members(leaves: &[LeafId]) -> Members {
    let claim = |leaf: &LeafId| Claim { leaf: *leaf, signature_key: [0; 32] };
    Members::from_leaves((0..).map(LeafNodeIndex::new).zip(leaves.iter().map(claim))).unwrap()
}

fn group() -> Members {
    members(&[leaf(ALICE, 1), leaf(ALICE, 2), leaf(BOB, 1), leaf(CAROL, 1)])
}

fn policy(admins: &[u8]) -> Policy {
    Policy {
        metadata_version: 4,
        metadata_hash: Some([4; 32]),
        admins: admins.iter().copied().map(account).collect(),
        members_may_add: false,
    }
}

fn open(admins: &[u8]) -> Policy {
    Policy { members_may_add: true, ..policy(admins) }
}

fn adds(leaves: &[LeafId]) -> Changes {
    Changes { adds: leaves.to_vec(), ..Changes::default() }
}

fn removes(leaves: &[u32]) -> Changes {
    removes_by(Proposer::Committer, leaves)
}

fn removes_by(proposer: Proposer, leaves: &[u32]) -> Changes {
    let removal = |leaf: &u32| Removal { index: index(*leaf), proposer };
    Changes { removals: leaves.iter().map(removal).collect(), ..Changes::default() }
}

fn sets(policy: Policy) -> Changes {
    Changes { policy: Some(policy), ..Changes::default() }
}

fn and(mut changes: Changes, more: Changes) -> Changes {
    changes.adds.extend(more.adds);
    changes.removals.extend(more.removals);
    changes.policy = more.policy.or(changes.policy);
    changes.committer_leaf = more.committer_leaf.or(changes.committer_leaf);
    changes
}

fn by(leaf: u32) -> Committer {
    Committer::Member(index(leaf))
}

fn from(leaf: u32) -> Proposer {
    Proposer::Member(index(leaf))
}

fn judge(policy: &Policy, committer: Committer, changes: &Changes) -> Result<(), PolicyError> {
    check_commit(policy, &group(), committer, changes)
}

#[test]
fn who_may_do_what_stands_in_this_table() {
    use Committer::External;
    use PolicyError as E;
    use Proposer::ExternalSender;
    let closed = policy(&[ALICE]);
    let bobs_policy = sets(policy(&[ALICE, BOB]));
    let same = || Changes::default();
    let renamed = |version| Policy {
        metadata_version: version,
        metadata_hash: Some([5; 32]),
        ..policy(&[ALICE])
    };
    for (what, policy, committer, changes, verdict) in [
        // Everybody renews its own leaf, and keeps its name.
        ("update", &closed, by(BOB_PHONE), same(), Ok(())),
        (
            "update that keeps its name",
            &closed,
            by(BOB_PHONE),
            Changes { committer_leaf: Some(leaf(BOB, 1)), ..same() },
            Ok(()),
        ),
        (
            "update to another device",
            &closed,
            by(BOB_PHONE),
            Changes { committer_leaf: Some(leaf(BOB, 2)), ..same() },
            Err(E::LeafIdentity),
        ),
        (
            "update to an admin's device",
            &closed,
            by(BOB_PHONE),
            Changes { committer_leaf: Some(leaf(ALICE, 3)), ..same() },
            Err(E::LeafIdentity),
        ),
        ("commit of nobody", &closed, by(NOBODY), same(), Err(E::NotAMember)),
        // Adding.
        ("admin adds", &closed, by(ALICE_LAPTOP), adds(&[leaf(EVE, 1)]), Ok(())),
        ("member adds", &closed, by(BOB_PHONE), adds(&[leaf(EVE, 1)]), Err(E::Add)),
        ("member adds where it may", &open(&[ALICE]), by(BOB_PHONE), adds(&[leaf(EVE, 1)]), Ok(())),
        ("member adds own device", &closed, by(BOB_PHONE), adds(&[leaf(BOB, 2)]), Ok(())),
        (
            "member adds own device and another",
            &closed,
            by(BOB_PHONE),
            adds(&[leaf(BOB, 2), leaf(EVE, 1)]),
            Err(E::Add),
        ),
        (
            "member adds another's device",
            &closed,
            by(BOB_PHONE),
            adds(&[leaf(CAROL, 2)]),
            Err(E::Add),
        ),
        (
            "device is added that is there",
            &closed,
            by(ALICE_PHONE),
            adds(&[leaf(BOB, 1)]),
            Err(E::AlreadyMember),
        ),
        (
            "device is added twice",
            &closed,
            by(ALICE_PHONE),
            adds(&[leaf(EVE, 1), leaf(EVE, 1)]),
            Err(E::AlreadyMember),
        ),
        (
            "device is replaced",
            &closed,
            by(ALICE_PHONE),
            and(adds(&[leaf(BOB, 1)]), removes(&[BOB_PHONE])),
            Ok(()),
        ),
        // Removing.
        ("admin removes", &closed, by(ALICE_PHONE), removes(&[BOB_PHONE, CAROL_PHONE]), Ok(())),
        ("member removes", &closed, by(BOB_PHONE), removes(&[CAROL_PHONE]), Err(E::Remove)),
        (
            "member removes where it may add",
            &open(&[ALICE]),
            by(BOB_PHONE),
            removes(&[CAROL_PHONE]),
            Err(E::Remove),
        ),
        (
            "member removes the admin",
            &closed,
            by(BOB_PHONE),
            removes(&[ALICE_PHONE]),
            Err(E::Remove),
        ),
        ("own device", &closed, by(ALICE_PHONE), removes(&[ALICE_LAPTOP]), Ok(())),
        (
            "leaf that is not there",
            &closed,
            by(ALICE_PHONE),
            removes(&[NOBODY]),
            Err(E::NotAMember),
        ),
        // What others proposed.
        (
            "leave of another",
            &closed,
            by(BOB_PHONE),
            removes_by(from(CAROL_PHONE), &[CAROL_PHONE]),
            Ok(()),
        ),
        (
            "removal that another member proposed",
            &closed,
            by(ALICE_PHONE),
            removes_by(from(CAROL_PHONE), &[BOB_PHONE]),
            Err(E::Remove),
        ),
        (
            "removal that an admin proposed",
            &closed,
            by(CAROL_PHONE),
            removes_by(from(ALICE_PHONE), &[BOB_PHONE]),
            Ok(()),
        ),
        (
            "removal that nobody proposed",
            &closed,
            by(ALICE_PHONE),
            removes_by(from(NOBODY), &[BOB_PHONE]),
            Err(E::NotAMember),
        ),
        (
            "revoked device",
            &closed,
            by(CAROL_PHONE),
            removes_by(ExternalSender, &[BOB_PHONE]),
            Ok(()),
        ),
        (
            "revoked devices of the last admin",
            &closed,
            by(CAROL_PHONE),
            removes_by(ExternalSender, &[ALICE_PHONE, ALICE_LAPTOP]),
            Ok(()),
        ),
        (
            "last admin leaves, as proposed before",
            &closed,
            by(CAROL_PHONE),
            and(
                removes_by(ExternalSender, &[ALICE_PHONE]),
                removes_by(from(ALICE_LAPTOP), &[ALICE_LAPTOP]),
            ),
            Ok(()),
        ),
        // The policy.
        ("admin names another", &closed, by(ALICE_PHONE), bobs_policy.clone(), Ok(())),
        ("member names itself", &closed, by(BOB_PHONE), bobs_policy.clone(), Err(E::Policy)),
        (
            "member names itself where it may add",
            &open(&[ALICE]),
            by(BOB_PHONE),
            sets(open(&[ALICE, BOB])),
            Err(E::Policy),
        ),
        ("member lets members add", &closed, by(BOB_PHONE), sets(open(&[ALICE])), Err(E::Policy)),
        ("member sets it as it is", &closed, by(BOB_PHONE), sets(closed.clone()), Err(E::Policy)),
        ("admin lets members add", &closed, by(ALICE_PHONE), sets(open(&[ALICE])), Ok(())),
        (
            "admin names somebody outside",
            &closed,
            by(ALICE_PHONE),
            sets(policy(&[ALICE, EVE])),
            Err(E::AdminNotMember),
        ),
        (
            "admin names somebody who comes in",
            &closed,
            by(ALICE_PHONE),
            and(adds(&[leaf(EVE, 1)]), sets(policy(&[ALICE, EVE]))),
            Ok(()),
        ),
        (
            "admin names somebody who goes",
            &closed,
            by(ALICE_PHONE),
            and(removes(&[BOB_PHONE]), bobs_policy),
            Err(E::AdminNotMember),
        ),
        ("last admin hands over", &closed, by(ALICE_PHONE), sets(policy(&[BOB])), Ok(())),
        (
            "last admin hands over to who is gone",
            &policy(&[ALICE, EVE]),
            by(ALICE_PHONE),
            sets(policy(&[EVE])),
            Err(E::LastAdmin),
        ),
        (
            "admin removes the other admin and names nobody",
            &policy(&[BOB, CAROL]),
            by(BOB_PHONE),
            and(removes(&[CAROL_PHONE]), sets(policy(&[CAROL]))),
            Err(E::LastAdmin),
        ),
        ("metadata change", &closed, by(ALICE_PHONE), sets(renamed(5)), Ok(())),
        (
            "metadata change of the same version",
            &closed,
            by(ALICE_PHONE),
            sets(renamed(4)),
            Err(E::MetadataVersion),
        ),
        (
            "metadata change of a later version",
            &closed,
            by(ALICE_PHONE),
            sets(renamed(6)),
            Err(E::MetadataVersion),
        ),
        (
            "version of no change",
            &closed,
            by(ALICE_PHONE),
            sets(Policy { metadata_version: 5, ..policy(&[ALICE]) }),
            Err(E::MetadataVersion),
        ),
        // Joining by oneself.
        ("new device of a member", &closed, External(leaf(BOB, 2)), same(), Ok(())),
        ("device comes back", &closed, External(leaf(BOB, 1)), removes(&[BOB_PHONE]), Ok(())),
        (
            "device comes back and stays",
            &closed,
            External(leaf(BOB, 1)),
            same(),
            Err(E::AlreadyMember),
        ),
        ("stranger joins", &closed, External(leaf(EVE, 1)), same(), Err(E::ExternalJoin)),
        (
            "stranger joins where members may add",
            &open(&[ALICE]),
            External(leaf(EVE, 1)),
            same(),
            Err(E::ExternalJoin),
        ),
        (
            "device joins for another own one",
            &closed,
            External(leaf(ALICE, 3)),
            removes(&[ALICE_PHONE]),
            Err(E::ExternalChanges),
        ),
        (
            "device joins for another's",
            &closed,
            External(leaf(BOB, 2)),
            removes(&[CAROL_PHONE]),
            Err(E::ExternalChanges),
        ),
        (
            "admin joins and changes the policy",
            &closed,
            External(leaf(ALICE, 3)),
            sets(open(&[ALICE])),
            Err(E::ExternalChanges),
        ),
        (
            "device joins and adds another",
            &closed,
            External(leaf(ALICE, 3)),
            adds(&[leaf(EVE, 1)]),
            Err(E::ExternalChanges),
        ),
    ] {
        assert_eq!(judge(policy, committer, &changes), verdict, "{what}");
    }
}

#[test]
fn a_commit_and_a_group_have_their_bounds() {
    let everybody: Vec<_> =
        (0..16).flat_map(|account| (1..=125).map(move |device| leaf(account, device))).collect();
    let full = members(&everybody);
    let almost = members(&everybody[..1_999]);
    let new: Vec<_> =
        (100..106).flat_map(|account| (1..=100).map(move |device| leaf(account, device))).collect();
    let judge = |members: &Members, adds: &[LeafId]| {
        check_commit(&policy(&[0]), members, by(0), &self::adds(adds))
    };

    assert_eq!(judge(&almost, &new[..1]), Ok(()));
    assert_eq!(judge(&almost, &new[..2]), Err(PolicyError::GroupFull));
    assert_eq!(judge(&full, &new[..1]), Err(PolicyError::GroupFull));
    assert_eq!(judge(&members(&everybody[..10]), &new[..512]), Ok(()));
    assert_eq!(judge(&members(&everybody[..10]), &new[..513]), Err(PolicyError::TooManyAdds));
    let joins = Committer::External(leaf(0, 126));
    let joined = check_commit(&policy(&[0]), &full, joins, &Changes::default());
    assert_eq!(joined, Err(PolicyError::GroupFull));
}

#[test]
fn the_last_admin_does_not_leave_while_others_are_in_the_group() {
    let leave = |admins: &[u8], pending: &[u32], leaver| {
        let pending: Vec<_> = pending.iter().copied().map(index).collect();
        check_leave(&policy(admins), &group(), &pending, index(leaver))
    };

    assert_eq!(leave(&[ALICE], &[], BOB_PHONE), Ok(()));
    assert_eq!(leave(&[ALICE], &[], ALICE_PHONE), Ok(()), "the laptop stays");
    assert_eq!(leave(&[ALICE], &[ALICE_PHONE], ALICE_LAPTOP), Err(PolicyError::LastAdmin));
    assert_eq!(leave(&[BOB], &[], BOB_PHONE), Err(PolicyError::LastAdmin));
    assert_eq!(leave(&[BOB, CAROL], &[], BOB_PHONE), Ok(()));
    assert_eq!(leave(&[BOB, CAROL], &[BOB_PHONE], CAROL_PHONE), Err(PolicyError::LastAdmin));
    // No admin is left to lose.
    assert_eq!(leave(&[EVE], &[], BOB_PHONE), Ok(()));
    assert_eq!(leave(&[ALICE], &[], NOBODY), Err(PolicyError::NotAMember));
    assert_eq!(
        check_leave(&policy(&[BOB]), &members(&[leaf(BOB, 1)]), &[], index(0)),
        Ok(()),
        "nobody else is in the group"
    );
}

#[test]
fn a_group_begins_with_its_maker_alone_and_a_generation_with_an_admin_of_the_last() {
    let (alice, bob) = (leaf(ALICE, 1), leaf(BOB, 1));
    let closed = policy(&[ALICE]);
    let both = policy(&[ALICE, BOB]);
    let renamed = Policy { metadata_hash: Some([5; 32]), ..policy(&[ALICE]) };
    for (what, before, after, leaves, verdict) in [
        ("new group", None, &closed, &[alice][..], Ok(())),
        ("other device than the maker's", None, &closed, &[bob], Err(PolicyError::NotAlone)),
        ("more than the maker", None, &closed, &[alice, bob], Err(PolicyError::NotAlone)),
        ("maker is no admin", None, &policy(&[BOB]), &[alice], Err(PolicyError::LastAdmin)),
        ("admin outside", None, &both, &[alice], Err(PolicyError::AdminNotMember)),
        ("next generation", Some(&both), &both, &[alice], Ok(())),
        ("fewer admins", Some(&both), &closed, &[alice], Ok(())),
        ("another admin", Some(&closed), &both, &[alice], Err(PolicyError::AdminNotMember)),
        ("no admin before", Some(&policy(&[BOB])), &closed, &[alice], Err(PolicyError::Policy)),
        ("other metadata", Some(&closed), &renamed, &[alice], Err(PolicyError::MetadataVersion)),
    ] {
        assert_eq!(check_begin(before, after, &members(leaves), alice), verdict, "{what}");
    }
}

#[test]
fn a_policy_has_one_form() {
    let policy = policy(&[ALICE, BOB]);
    let good = GroupPolicy {
        v: 1,
        metadata_version: 4,
        metadata_hash: vec![4; 32].into(),
        admins: vec![vec![ALICE; 32].into(), vec![BOB; 32].into()],
        members_may_add: false,
    };
    let bytes = good.encode_to_vec();
    let with = |change: fn(&mut GroupPolicy)| {
        let mut policy = good.clone();
        change(&mut policy);
        Policy::decode(&policy.encode_to_vec())
    };

    assert_eq!(policy.encode(), bytes);
    assert_eq!(Policy::decode(&bytes), Ok(policy));
    assert_eq!(with(|policy| policy.v = 2), Err(MalformedPolicy::UnknownVersion));
    assert_eq!(with(|policy| policy.admins.clear()), Err(MalformedPolicy::Admins));
    assert_eq!(with(|policy| policy.admins.reverse()), Err(MalformedPolicy::Admins));
    assert_eq!(
        with(|policy| policy.admins.push(vec![BOB; 32].into())),
        Err(MalformedPolicy::Admins)
    );
    assert_eq!(
        with(|policy| policy.admins.push(vec![CAROL; 16].into())),
        Err(MalformedPolicy::Admins)
    );
    assert_eq!(
        with(|policy| policy.admins = (0..51).map(|n| vec![n; 32].into()).collect()),
        Err(MalformedPolicy::Admins)
    );
    assert_eq!(
        with(|policy| policy.metadata_hash = vec![4; 31].into()),
        Err(MalformedPolicy::Unreadable)
    );
    for more in [&bytes[..], &[0x28, 0], &[0x78, 1]] {
        let bytes = [&bytes, more].concat();
        assert_eq!(Policy::decode(&bytes), Err(MalformedPolicy::Unreadable), "{more:?}");
    }
    assert_eq!(Policy::decode(&[]), Err(MalformedPolicy::UnknownVersion));
}

fn some_leaf() -> impl Strategy<Value = LeafId> {
    (1_u8..6, 1_u32..3).prop_map(|(account, device)| leaf(account, device))
}

fn some_policy() -> impl Strategy<Value = Policy> {
    let admins = prop::collection::btree_set((1_u8..6).prop_map(account), 1..4);
    (admins, any::<bool>(), 3_u64..6, prop::option::of(Just([4; 32]))).prop_map(
        |(admins, members_may_add, metadata_version, metadata_hash)| Policy {
            metadata_version,
            metadata_hash,
            admins,
            members_may_add,
        },
    )
}

fn some_changes() -> impl Strategy<Value = Changes> {
    let proposer = prop_oneof![
        Just(Proposer::Committer),
        (0_u32..6).prop_map(from),
        Just(Proposer::ExternalSender)
    ];
    let removal = ((0_u32..6).prop_map(index), proposer)
        .prop_map(|(index, proposer)| Removal { index, proposer });
    (
        prop::collection::vec(some_leaf(), 0..3),
        prop::collection::vec(removal, 0..3),
        prop::option::of(some_leaf()),
        prop::option::of(some_policy()),
    )
        .prop_map(|(adds, removals, committer_leaf, policy)| Changes {
            adds,
            removals,
            committer_leaf,
            policy,
        })
}

fn some_committer() -> impl Strategy<Value = Committer> {
    prop_oneof![(0_u32..6).prop_map(by), some_leaf().prop_map(Committer::External)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Caught, as sabotage: letting whoever may add set a policy as well, and a leaf that takes
    /// another name.
    #[test]
    fn no_member_becomes_admin_by_its_own_commit(
        before in some_policy(),
        leaves in prop::collection::btree_set(some_leaf(), 1..6),
        committer in some_committer(),
        changes in some_changes(),
    ) {
        let leaves: Vec<_> = leaves.into_iter().collect();
        let members = members(&leaves);
        let verdict = check_commit(&before, &members, committer, &changes);
        let author = match committer {
            Committer::Member(index) => members.at(index),
            Committer::External(leaf) => Some(leaf),
        };
        let was_admin = author.is_some_and(|leaf| before.is_admin(&leaf.account));

        if verdict.is_ok() && !was_admin {
            let after = changes.policy.unwrap_or_else(|| before.clone());
            prop_assert_eq!(&after, &before);
            // Nor by the name of an admin.
            let named = changes.committer_leaf.or(author).unwrap();
            prop_assert!(!after.is_admin(&named.account));
        }
    }
}
