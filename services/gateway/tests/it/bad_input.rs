//! What a device can do wrong, by frame type, on both subprotocols, and what it is told.

use bytes::Bytes;
use futures_util::SinkExt as _;
use prost::Message as _;
use sotto_ids::{
    ClientMsgId, GroupId,
    limits::{MAX_FRAME_BYTES, MAX_GROUP_MESSAGE_BYTES},
};
use sotto_proto::socket::{
    Ack, Authenticate, ClientFrame, DeviceMessage, GroupAck, GroupCursor, GroupSend, Resume,
    Retract, Send, client_frame::Body,
};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Device, Form, GroupsReplica, Replica, Signer, TestGateway, config};

/// When it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// As the first frame of a socket without a token.
    First,
    /// On a socket that is served.
    Served,
}

/// What comes of it.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// An Error; the socket goes on.
    Error(&'static str),
    /// An Error, and the socket ends.
    ErrorAndClose(&'static str, u16),
    /// The socket ends.
    Close(u16, &'static str),
}

/// What is sent.
enum What {
    /// A frame of the protocol.
    Frame(Body),
    /// Bytes that are no such frame, as binary and as text.
    Raw(Vec<u8>, String),
    /// A frame of the other subprotocol.
    OtherKind,
}

fn send_for(devices: usize) -> Body {
    Body::Send(Send { messages: vec![DeviceMessage::default(); devices], ..Send::default() })
}

fn retract_from(devices: u32) -> Body {
    Body::Retract(Retract { device_ids: (1..=devices).collect(), ..Retract::default() })
}

fn ack_of(ids: usize, length: usize) -> Body {
    Body::Ack(Ack { envelope_ids: vec![vec![0x70; length].into(); ids] })
}

/// One that is good, but for what is changed.
fn group_send(change: impl FnOnce(&mut GroupSend)) -> Body {
    let mut send = GroupSend {
        group: Bytes::copy_from_slice(GroupId::new([7; 16]).as_bytes()),
        client_msg_id: Bytes::copy_from_slice(ClientMsgId::new(1, [7; 10]).as_bytes()),
        message: Bytes::from_static(b"sealed"),
        ..GroupSend::default()
    };
    change(&mut send);
    Body::GroupSend(send)
}

fn group_ack_of(cursors: usize, group: &[u8]) -> Body {
    let cursor = GroupCursor { group: Bytes::copy_from_slice(group), seq: u64::MAX };
    Body::GroupAck(GroupAck { cursors: vec![cursor; cursors] })
}

fn token(text: &str) -> Body {
    Body::Authenticate(Authenticate { token: text.to_owned() })
}

fn ticket(length: usize) -> Body {
    Body::Resume(Resume { ticket: vec![5; length].into() })
}

/// A field of the frame with another wire type in the binary form, and with another type
/// in JSON.
fn wrong_type(field: u8, json: &str) -> What {
    What::Raw(vec![field << 3, 1], json.to_owned())
}

fn table() -> Vec<(&'static str, When, What, Then)> {
    use Then::{Close, Error, ErrorAndClose};
    use What::{Frame, OtherKind, Raw};
    use When::{First, Served};

    let malformed = Close(4503, "malformed_frame");
    let too_large = Close(4504, "frame_too_large");
    let too_early = ErrorAndClose("authenticate_first", 4501);
    let padded = |bytes: usize| {
        let padding = "x".repeat(bytes);
        Raw(token(&padding).encoded(), format!("{{\"authenticate\":{{\"token\":\"{padding}\"}}}}"))
    };
    vec![
        ("no frame", Served, Raw(vec![0xff; 3], "{\"id\":".into()), malformed),
        ("no frame", First, Raw(vec![0xff; 3], "{\"id\":".into()), malformed),
        ("not even bytes", Served, Raw(vec![0xff], String::new()), malformed),
        ("nothing in it", Served, Raw(vec![], "{}".into()), Error("unknown_frame")),
        ("nothing in it", First, Raw(vec![], "{}".into()), too_early),
        (
            "of a later version",
            Served,
            Raw(vec![0xfa, 1, 0], "{\"x\":{}}".into()),
            Error("unknown_frame"),
        ),
        (
            "a number too large",
            Served,
            Raw([vec![8], vec![0xff; 11]].concat(), "{\"id\":\"99999999999999999999\"}".into()),
            malformed,
        ),
        ("of the other kind", Served, OtherKind, Close(4505, "wrong_frame_kind")),
        ("of the other kind", First, OtherKind, Close(4505, "wrong_frame_kind")),
        ("too large", Served, padded(MAX_FRAME_BYTES + 1), too_large),
        ("too large", First, padded(16 * 1024 + 1), too_large),
        // Authenticate
        (
            "authenticate: no token",
            First,
            Frame(token("no.jwt")),
            ErrorAndClose("token_malformed", 4501),
        ),
        ("authenticate: empty", First, Frame(token("")), ErrorAndClose("token_malformed", 4501)),
        ("authenticate: no token", Served, Frame(token("no.jwt")), Error("token_malformed")),
        ("authenticate: wrong type", First, wrong_type(2, "{\"authenticate\":[]}"), malformed),
        (
            "authenticate: wrong type",
            Served,
            wrong_type(2, "{\"authenticate\":{\"token\":5}}"),
            malformed,
        ),
        // Resume
        ("resume: empty", First, Frame(ticket(0)), Error("resume_refused")),
        ("resume: too short", First, Frame(ticket(31)), Error("resume_refused")),
        ("resume: too long", First, Frame(ticket(33)), Error("resume_refused")),
        ("resume: unknown", First, Frame(ticket(32)), Error("resume_refused")),
        ("resume: too late", Served, Frame(ticket(32)), Error("resume_refused")),
        ("resume: wrong type", First, wrong_type(6, "{\"resume\":{\"ticket\":[1]}}"), malformed),
        // Send
        ("send: too early", First, Frame(send_for(1)), too_early),
        ("send: too many devices", Served, Frame(send_for(11)), Error("too_many_devices")),
        ("send: far too many", Served, Frame(send_for(50_000)), Error("too_many_devices")),
        ("send: wrong type", Served, wrong_type(3, "{\"send\":{\"messages\":{}}}"), malformed),
        ("send: no base64", Served, wrong_type(3, "{\"send\":{\"recipient\":\"*\"}}"), malformed),
        // Retract
        ("retract: too early", First, Frame(retract_from(1)), too_early),
        ("retract: too many devices", Served, Frame(retract_from(11)), Error("too_many_devices")),
        (
            "retract: wrong type",
            Served,
            wrong_type(5, "{\"retract\":{\"deviceIds\":[-1]}}"),
            malformed,
        ),
        // Ack
        ("ack: too early", First, Frame(ack_of(1, 16)), too_early),
        ("ack: a short id", Served, Frame(ack_of(1, 15)), Error("malformed_envelope_id")),
        ("ack: a long id", Served, Frame(ack_of(1, 17)), Error("malformed_envelope_id")),
        ("ack: an empty id", Served, Frame(ack_of(1, 0)), Error("malformed_envelope_id")),
        ("ack: too many ids", Served, Frame(ack_of(257, 16)), Error("too_many_ids")),
        ("ack: wrong type", Served, wrong_type(4, "{\"ack\":{\"envelopeIds\":\"x\"}}"), malformed),
    ]
    .into_iter()
    .chain(groups_table())
    .collect()
}

fn groups_table() -> Vec<(&'static str, When, What, Then)> {
    use Then::{Close, Error, ErrorAndClose};
    use What::Frame;
    use When::{First, Served};

    let malformed = Close(4503, "malformed_frame");
    let too_early = ErrorAndClose("authenticate_first", 4501);
    let send = |change: fn(&mut GroupSend)| Frame(group_send(change));
    let good = *GroupId::new([7; 16]).as_bytes();
    let group = Error("malformed_group_id");
    vec![
        // GroupSend
        ("group send: too early", First, send(|_| {}), too_early),
        ("group send: no group", Served, send(|send| send.group.clear()), group),
        ("group send: a short group", Served, send(|send| send.group.truncate(15)), group),
        ("group send: no UUIDv4", Served, send(|send| send.group = vec![0xff; 16].into()), group),
        (
            "group send: no id",
            Served,
            send(|send| send.client_msg_id.clear()),
            Error("malformed_message_id"),
        ),
        (
            "group send: an id of a group",
            Served,
            send(|send| send.client_msg_id = send.group.clone()),
            Error("malformed_message_id"),
        ),
        (
            "group send: empty",
            Served,
            send(|send| send.message.clear()),
            Error("malformed_group_message"),
        ),
        (
            "group send: too large",
            Served,
            send(|send| send.message = vec![1; MAX_GROUP_MESSAGE_BYTES + 1].into()),
            Error("message_too_large"),
        ),
        (
            "group send: wrong type",
            Served,
            wrong_type(7, "{\"groupSend\":{\"epoch\":-1}}"),
            malformed,
        ),
        // GroupAck
        ("group ack: too early", First, Frame(group_ack_of(1, &good)), too_early),
        ("group ack: a short group", Served, Frame(group_ack_of(1, &good[..15])), group),
        ("group ack: no group", Served, Frame(group_ack_of(256, &[])), group),
        ("group ack: too many", Served, Frame(group_ack_of(257, &good)), Error("too_many_cursors")),
        ("group ack: wrong type", Served, wrong_type(8, "{\"groupAck\":[1]}"), malformed),
    ]
}

trait Encoded {
    fn encoded(self) -> Vec<u8>;
}

impl Encoded for Body {
    fn encoded(self) -> Vec<u8> {
        ClientFrame { id: 9, body: Some(self) }.encode_to_vec()
    }
}

fn message(what: What, form: Form) -> Message {
    match (what, form) {
        (What::Frame(body), Form::Proto) => Message::binary(body.encoded()),
        (What::Frame(body), Form::Json) => {
            let frame = ClientFrame { id: 9, body: Some(body) };
            Message::text(serde_json::to_string(&frame).unwrap())
        }
        (What::Raw(bytes, _), Form::Proto) => Message::binary(bytes),
        (What::Raw(_, text), Form::Json) => Message::text(text),
        (What::OtherKind, Form::Proto) => Message::text("{}"),
        (What::OtherKind, Form::Json) => Message::binary(Bytes::new()),
    }
}

/// What reached the replicas, in number.
fn passed_on(replica: &Replica, groups: &GroupsReplica) -> [usize; 5] {
    [
        replica.submits().len(),
        replica.retracts().len(),
        replica.acknowledged(),
        groups.submits().len(),
        groups.acknowledged().len(),
    ]
}

/// I-9. Caught, one at a time: the check of the devices taken out of `submit` and out of
/// `retract`, that of the ids taken out of `acknowledge`, the bound of frames before a token
/// left at that of all frames, and each of the checks of what is for a group.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_of_every_kind_gets_its_name_and_changes_nothing() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = TestGateway::start_of_groups(&[&replica], &[&groups], config(), None).await;

    for form in [Form::Proto, Form::Json] {
        for (name, when, what, then) in table() {
            let row = format!("{name}, {when:?}, {form:?}");
            let token = Signer::new().token(600);
            let mut opening = Device::open(gateway.address()).form(form);
            if when == When::Served {
                opening = opening.token(&token);
            }
            let mut device = opening.connect().await;
            if when == When::Served {
                device.hello().await;
                device.queue_empty().await;
            }
            let before = passed_on(&replica, &groups);

            // What is refused by its header may find the socket closed.
            drop(device.socket.send(message(what, form)).await);

            match then {
                Then::Error(reason) => {
                    assert_eq!(device.error().await.1.reason, reason, "{row}");
                    assert_eq!(passed_on(&replica, &groups), before, "{row}");
                    goes_on(&mut device, when, &token).await;
                }
                Then::ErrorAndClose(reason, code) => {
                    assert_eq!(device.error().await.1.reason, reason, "{row}");
                    assert_eq!(device.closed().await.0, code, "{row}");
                    assert_eq!(passed_on(&replica, &groups), before, "{row}");
                }
                Then::Close(code, reason) => {
                    assert_eq!(device.closed().await, (code, reason.to_owned()), "{row}");
                    assert_eq!(passed_on(&replica, &groups), before, "{row}");
                }
            }
        }
    }
}

/// The socket is as good as before.
async fn goes_on(device: &mut Device, when: When, token: &str) {
    if when == When::First {
        device.authenticate(token).await;
        device.hello().await;
        device.queue_empty().await;
    }
    let frame = device.send(b"still here").await;
    device.accepted(frame).await;
}
