//! What the fuzz targets reach. Nothing of it is in a build that is not for them.

use std::sync::OnceLock;

use openmls::prelude::{ContentType, GroupId as MlsGroupId, MlsGroup, OpenMlsProvider as _};
use prost::Message as _;
use sotto_ids::{AccountId, DeviceId, GroupId};
use sotto_mls::{LeafId, Policy, config};
use sotto_mls_provider::{Provider, Signer, Values};
use sotto_proto::groups as pb;

use crate::{
    domain::{Epoch, Send, device},
    http,
    mls::{self, ExternalSender, NewCommit, Tracked},
};

/// A group with one member, as it is stored.
struct Scene {
    group: GroupId,
    maker: LeafId,
    sender: ExternalSender,
    state: Vec<u8>,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let maker = LeafId::new(AccountId::new([7; 32]), DeviceId::FIRST);
        let sender = ExternalSender::new(&("A".repeat(43) + "="), "sotto.test".to_owned())
            .expect("32 zero bytes");
        let policy = Policy {
            metadata_version: 0,
            metadata_hash: None,
            admins: [maker.account].into(),
            members_may_add: true,
        };
        let listed = config::external_sender("sotto.test", &sender.signature_key());
        let config = config::create_config(&policy, listed).expect("they are extensions");
        let (signer, provider) = (Signer::new(&[1; 32]), Provider::<Values>::default());
        let group = GroupId::new([9; 16]);
        let id = MlsGroupId::from_slice(&group.mls_id(0));
        let credential = maker.credential_with_key(&signer.public_key());
        let made = MlsGroup::new_with_group_id(&provider, &signer, &config, id, credential)
            .expect("it can be made");
        let info = made
            .export_group_info(provider.crypto(), &signer, true)
            .ok()
            .and_then(|info| info.to_bytes().ok())
            .expect("it has an info");
        let state =
            mls::begin(&info, (group, 0), None, maker, &sender).expect("it is one of ours").state;
        Scene { group, maker, sender, state }
    })
}

/// What a member sends to change a group, each part from bytes of its own.
pub fn changes(data: &[u8]) {
    let Scene { group, maker, sender, state } = scene();
    let at = Epoch { generation: 0, epoch: 0 };
    let _begun = mls::begin(data, (*group, 0), None, *maker, sender);
    let _named = mls::group_of(data);
    let tracked = || Tracked::decode(*group, at, state).expect("it was stored");
    if let Ok(proposal) = mls::read(data, *group, ContentType::Proposal, "proposal") {
        let _left = mls::check_leave(&tracked(), &[], proposal, *maker);
    }
    let Some((length, parts)) = data.split_at_checked(2) else { return };
    let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
    let Some((commit, rest)) = parts.split_at_checked(length) else { return };
    if let Ok(commit) = mls::read(commit, *group, ContentType::Commit, "commit") {
        let new = NewCommit { commit, group_info: rest, welcome: Some(rest), sender: *maker };
        assert!(mls::check(tracked(), &[], new, sender).is_err(), "nobody has signed this");
    }
}

/// What a gateway passes on of devices, and the bodies of requests.
pub fn requests(data: &[u8]) {
    http::fuzz(data);
    let Ok(batch) = pb::GatewayBatch::decode(data) else { return };
    for item in batch.items.into_iter().filter_map(|uplink| uplink.item) {
        if let pb::uplink::Item::Submit(submit) = item
            && let (Some(sender), Some(send)) =
                (submit.sender.as_ref().and_then(device), submit.send)
        {
            let _checked = Send::check(sender, send);
        }
    }
}
