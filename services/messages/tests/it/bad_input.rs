//! I-9 for the items of a gateway: what is malformed, too large, of the wrong type or in
//! the wrong state gets its named error, and changes nothing.

use bytes::Bytes;
use sotto_ids::{ClientMsgId, limits::MAX_CIPHERTEXT_BYTES};
use sotto_proto::{
    messages::{Acknowledge, DeviceRef, Pull, Retract, Submit, uplink::Item},
    socket::{self, MessageClass},
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::harness::{Answer, Device, Letter, Link, Stage, device_ref, gateway};

struct Scene {
    alice: Vec<Device>,
    bob: Vec<Device>,
    now_ms: u64,
}

impl Scene {
    fn submit(&self, change: impl FnOnce(&mut Submit)) -> Submit {
        let mut submit = Letter::new(self.alice[0], &self.bob, self.now_ms + 9).submit(1, 0);
        change(&mut submit);
        submit
    }

    fn send(&self, change: impl FnOnce(&mut socket::Send)) -> Submit {
        self.submit(|submit| change(submit.send.as_mut().unwrap()))
    }

    /// Of the letter that waits.
    fn retract(&self, waiting: &Letter, change: impl FnOnce(&mut socket::Retract)) -> Retract {
        let mut retract = waiting.retraction(self.alice[0], &self.bob, 1, 0);
        change(retract.retract.as_mut().unwrap());
        retract
    }

    fn sends(&self) -> Vec<(&'static str, Submit)> {
        let own = device_ref(self.alice[0]);
        let sender = |account: Bytes, device| Some(DeviceRef { account, device });
        let v4 = Bytes::copy_from_slice(Uuid::new_v4().as_bytes());
        let at = |unix_ms| Bytes::copy_from_slice(ClientMsgId::new(unix_ms, [7; 10]).as_bytes());
        let nobody = Bytes::copy_from_slice(crate::harness::someone().as_bytes());
        let too_large = Bytes::from(vec![1; MAX_CIPHERTEXT_BYTES + 1]);
        let ephemeral = MessageClass::Ephemeral.into();
        let short = |bytes: &Bytes| bytes.slice(..15);
        vec![
            ("malformed_sender", self.submit(|it| it.sender = None)),
            ("malformed_sender", self.submit(|it| it.sender = sender(short(&own.account), 1))),
            ("malformed_sender", self.submit(|it| it.sender = sender(own.account.clone(), 0))),
            ("malformed_sender", self.submit(|it| it.sender = sender(own.account.clone(), 128))),
            ("malformed_sender", self.submit(|it| it.sender = sender(v4.clone(), 1))),
            ("unknown_sender", self.submit(|it| it.sender = sender(own.account.clone(), 9))),
            ("unknown_sender", self.submit(|it| it.sender = sender(nobody.clone(), 1))),
            ("not_interoperable", self.submit(|it| it.app.push_str("-of-elsewhere"))),
            ("no_messages", self.submit(|it| it.send = None)),
            ("malformed_message_id", self.send(|it| it.client_msg_id = Bytes::new())),
            ("malformed_message_id", self.send(|it| it.client_msg_id = v4.clone())),
            ("malformed_message_id", self.send(|it| it.client_msg_id = Bytes::from(vec![7; 999]))),
            ("clock_skew", self.send(|it| it.client_msg_id = at(0))),
            ("clock_skew", self.send(|it| it.client_msg_id = at((1 << 48) - 1))),
            ("clock_skew", self.send(|it| it.client_msg_id = at(self.now_ms - 86_400_001))),
            ("malformed_recipient", self.send(|it| it.recipient = Bytes::new())),
            ("malformed_recipient", self.send(|it| it.recipient = v4.clone())),
            ("unknown_recipient", self.send(|it| it.recipient = nobody.clone())),
            ("no_messages", self.send(|it| it.messages.clear())),
            ("too_many_devices", self.send(|it| it.messages = vec![it.messages[0].clone(); 11])),
            ("duplicate_device", self.send(|it| it.messages[1].device_id = 1)),
            ("malformed_device_id", self.send(|it| it.messages[0].device_id = 0)),
            ("malformed_device_id", self.send(|it| it.messages[0].device_id = u32::MAX)),
            ("unknown_ciphertext_type", self.send(|it| it.messages[0].r#type = 0)),
            ("unknown_ciphertext_type", self.send(|it| it.messages[0].r#type = -1)),
            ("empty_ciphertext", self.send(|it| it.messages[0].ciphertext = Bytes::new())),
            ("ciphertext_too_large", self.send(|it| it.messages[1].ciphertext = too_large)),
            ("ttl_too_long", self.send(|it| it.ttl_seconds = u32::MAX)),
            ("unknown_class", self.send(|it| it.class = 3)),
            ("unknown_class", self.send(|it| it.class = i32::MIN)),
            ("ephemeral_ttl", self.send(|it| (it.class, it.ttl_seconds) = (ephemeral, 1))),
            (
                "ephemeral_too_large",
                self.send(|it| {
                    it.class = ephemeral;
                    it.messages[0].ciphertext = Bytes::from(vec![1; 4097]);
                }),
            ),
            ("device_mismatch", self.send(|it| it.messages.truncate(1))),
            ("device_mismatch", self.send(|it| it.messages[0].registration_id = 0)),
        ]
    }

    fn retracts(&self, waiting: &Letter) -> Vec<(&'static str, Retract)> {
        let own = device_ref(self.alice[0]).account;
        let of = |sender| Retract { sender, ..self.retract(waiting, |_| {}) };
        let nobody = Retract { retract: None, ..self.retract(waiting, |_| {}) };
        vec![
            ("malformed_sender", of(None)),
            ("malformed_sender", of(Some(DeviceRef { account: Bytes::new(), device: 1 }))),
            ("malformed_sender", of(Some(DeviceRef { account: own.clone(), device: 128 }))),
            ("unknown_sender", of(Some(DeviceRef { account: own, device: 9 }))),
            ("no_devices", nobody),
            ("no_devices", self.retract(waiting, |it| it.device_ids.clear())),
            ("too_many_devices", self.retract(waiting, |it| it.device_ids = (1..=11).collect())),
            ("malformed_device_id", self.retract(waiting, |it| it.device_ids[1] = 0)),
            ("malformed_device_id", self.retract(waiting, |it| it.device_ids[1] = 4711)),
            ("duplicate_device", self.retract(waiting, |it| it.device_ids[1] = 1)),
            ("malformed_message_id", self.retract(waiting, |it| it.client_msg_id = Bytes::new())),
            ("malformed_recipient", self.retract(waiting, |it| it.recipient = Bytes::new())),
        ]
    }
}

fn reason(answer: &Answer) -> &str {
    match answer {
        Answer::Refused(error) => &error.reason,
        Answer::Mismatch(_) => "device_mismatch",
        taken => panic!("not refused: {taken:?}"),
    }
}

/// I-9. It fails where the type of a ciphertext, the class or the devices of a retraction
/// are not looked at.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_9_each_wrong_item_gets_its_named_error_and_changes_no_row(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let scene = Scene { alice: stage.account(1), bob: stage.account(2), now_ms: stage.now_ms() };
    let waiting = Letter::new(scene.alice[0], &scene.bob, stage.now_ms());
    assert_eq!(link.send(&waiting).await, Answer::Accepted);
    let before = stage.dump().await;

    let sends = scene.sends().into_iter().map(|(name, submit)| (name, Item::Submit(submit)));
    let retracts = scene.retracts(&waiting).into_iter();
    let retracts = retracts.map(|(name, retract)| (name, Item::Retract(retract)));
    let mut expected = Vec::new();
    let mut items = Vec::new();
    for ((name, mut item), number) in sends.chain(retracts).zip(10_000..) {
        match &mut item {
            Item::Submit(submit) => submit.frame = number,
            Item::Retract(retract) => retract.frame = number,
            Item::Acknowledge(_) | Item::Pull(_) => {}
        }
        expected.push((number, name));
        items.push(item);
    }
    link.push_items(items).await;
    for (frame, name) in expected {
        let answer = link.answer(frame).await;
        assert_eq!(reason(&answer), name, "item {}", frame - 10_000);
    }

    assert_eq!(stage.dump().await, before);
    stage.end().await;
}

/// An acknowledgement has no answer, and a pull no other than its page: what is wrong
/// with them is passed over.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_9_wrong_acknowledgements_and_pulls_change_no_row_and_end_no_stream(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let waiting = Letter::new(alice[0], &bob, stage.now_ms());
    link.send(&waiting).await;
    let before = stage.dump().await;
    let id = Bytes::copy_from_slice(waiting.envelope_id(bob[0]).as_bytes());
    let acknowledge =
        |device, ids: Vec<Bytes>| Item::Acknowledge(Acknowledge { device, envelope_ids: ids });
    let pull = |connection, device, in_flight| {
        Item::Pull(Pull { connection, device, in_flight, limit: 5 })
    };
    let bob_ref = device_ref(bob[0]);
    let malformed = DeviceRef { account: Bytes::from_static(&[1; 17]), device: 1 };

    link.push_items(vec![
        acknowledge(None, vec![id.clone()]),
        acknowledge(Some(malformed.clone()), vec![id.clone()]),
        acknowledge(Some(DeviceRef { device: 0, ..bob_ref.clone() }), vec![id.clone()]),
        acknowledge(Some(DeviceRef { device: 2, ..bob_ref.clone() }), vec![id.clone()]),
        acknowledge(Some(device_ref(alice[0])), vec![id.clone()]),
        acknowledge(
            Some(bob_ref.clone()),
            vec![Bytes::new(), id.slice(..15), Bytes::from(vec![0; 999])],
        ),
        acknowledge(Some(bob_ref.clone()), Vec::new()),
        pull(901, None, Vec::new()),
        pull(902, Some(malformed), Vec::new()),
        pull(903, Some(bob_ref), vec![Bytes::new(), id.slice(1..)]),
    ])
    .await;

    assert!(link.page(901).await.failed);
    assert!(link.page(902).await.failed);
    assert_eq!(link.page(903).await.envelopes.len(), 1, "what is no id leaves nothing out");
    // The deletes of what came before are through when this one's is.
    let own = Letter::new(alice[0], &bob, stage.now_ms() + 1);
    link.send(&own).await;
    link.acknowledge(bob[0], &[own.envelope_id(bob[0])]).await;
    crate::harness::wait_for("a right one", async || stage.queue(bob[0]).await.len() == 1).await;
    assert_eq!(stage.dump().await, before);
    stage.end().await;
}
