//! A group, and what its members have made for it: most of it is spoiled before it is sent.

use prost::bytes::Bytes;
use serde_json::{Value, json};
use sotto_e2e::raw::{Change, Member, Party, Raw, new_group};
use sotto_ids::{Base64Bytes, GroupId};
use sotto_proto::socket::GroupSend;
use uuid::Uuid;

/// Alice's group, with Bob in it.
pub(super) struct Group {
    pub(super) id: GroupId,
    /// The epoch that it is in.
    pub(super) epoch: u64,
    /// A sound commit of Alice's, which is never taken.
    pub(super) commit: Value,
    /// Another commit of hers, in the same epoch.
    pub(super) other_commit: Value,
    /// A commit that adds somebody whose key no chain knows.
    pub(super) uncertified: Value,
    /// A commit of an epoch that is over.
    pub(super) late_commit: Value,
    /// A commit by which Mallory, who is no member, comes in from outside.
    pub(super) intrusion: Value,
    /// Bob's proposal to leave, and Alice's, who is the only admin.
    pub(super) leave: Value,
    pub(super) admins_leave: Value,
    /// A message of Bob's, and one of an epoch that is over.
    pub(super) message: Value,
    pub(super) late_message: Value,
    /// With what a group of Alice's would begin, and with what Bob would begin this one.
    pub(super) begin: Value,
    pub(super) begin_again: Value,
    /// With what Bob would reset the group, and with what Alice would in another generation.
    pub(super) reset_by_bob: Value,
    pub(super) other_reset: Value,
    /// KeyPackages of Alice's first device: sound, of last resort, with another key; and one
    /// of her second device.
    pub(super) package: Vec<u8>,
    pub(super) last_resort: Vec<u8>,
    pub(super) uncertified_package: Vec<u8>,
    pub(super) others_package: Vec<u8>,
}

impl Group {
    pub(super) async fn make(alice: &Party, bob: &Party, mallory: &Party, raw: &Raw) -> Self {
        let (mut owner, mut other) = (Member::of(alice, 1), Member::of(bob, 1));
        let id = owner.create(raw).await;
        owner.bring_in(std::slice::from_mut(&mut other), raw).await;
        let late_message = other.write("late");
        let late_commit = owner.commit(&Change::Update);
        owner.change(&Change::Update, raw).await;
        other.catch_up(raw).await;

        let sender = owner.external_sender(raw).await;
        let mut intruder = Member::of(mallory, 1);
        intruder.borrow_token(alice.token(1));
        let intrusion = intruder.prepare_rejoin(id, raw).await;
        let begin =
            |party, group, generation| Member::of(party, 1).begin(group, generation, &sender);
        let with_generation = |mut body: Value, generation: u32| {
            body["generation"] = json!(generation);
            body
        };
        // None can be made while a commit is pending.
        let (leave, admins_leave) = (other.leave(), owner.leave());
        let stranger = Member::of(alice, 2).uncertified_key_package();
        Self {
            id,
            epoch: owner.standing().0,
            commit: owner.commit(&Change::Update),
            other_commit: owner.commit(&Change::Update),
            uncertified: owner.commit(&Change::Add(&[stranger])),
            late_commit,
            intrusion,
            leave,
            admins_leave,
            message: other.write("sound"),
            late_message,
            begin: begin(alice, new_group(), 0),
            begin_again: begin(bob, id, 0),
            reset_by_bob: with_generation(begin(bob, id, 1), 0),
            other_reset: with_generation(begin(alice, id, 6), 5),
            package: owner.key_package(false),
            last_resort: owner.key_package(true),
            uncertified_package: owner.uncertified_key_package(),
            others_package: Member::of(alice, 2).key_package(false),
        }
    }

    /// Bob's message, for the socket.
    pub(super) fn send(&self) -> GroupSend {
        frame_of(self.id, &self.message)
    }

    pub(super) fn late_send(&self) -> GroupSend {
        frame_of(self.id, &self.late_message)
    }
}

fn frame_of(group: GroupId, body: &Value) -> GroupSend {
    let id: Uuid = body["client_msg_id"].as_str().unwrap().parse().unwrap();
    let message: Base64Bytes = serde_json::from_value(body["message"].clone()).unwrap();
    GroupSend {
        group: Bytes::copy_from_slice(group.as_bytes()),
        generation: 0,
        epoch: body["epoch"].as_u64().unwrap(),
        client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
        message: message.0.into(),
    }
}
