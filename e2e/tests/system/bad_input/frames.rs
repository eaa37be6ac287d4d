use prost::bytes::Bytes;
use sotto_e2e::raw::frame;
use sotto_ids::{
    ClientMsgId,
    limits::{MAX_FRAME_BYTES, MAX_GROUP_MESSAGE_BYTES},
};
use sotto_proto::socket::{
    Ack, Authenticate, GroupAck, GroupCursor, GroupSend, MessageClass, Resume, Retract, Send,
    client_frame::Body,
};
use tokio_tungstenite::tungstenite::Message;

use super::scene::{Input, Scene, When};

/// A frame, what is wrong, on which socket, what is said, and what comes of it.
type Row = (&'static str, &'static str, When, Input, &'static str);

const AUTHENTICATE: &str = "frame Authenticate";
const RESUME: &str = "frame Resume";
const SEND: &str = "frame Send";
const RETRACT: &str = "frame Retract";
const ACK: &str = "frame Ack";
const GROUP_SEND: &str = "frame GroupSend";
const GROUP_ACK: &str = "frame GroupAck";

const FIRST: &str = "authenticate_first, 4501 authentication_failed";
const MALFORMED: &str = "4503 malformed_frame";
const TOO_LARGE: &str = "4504 frame_too_large";

/// What a frame may have before there is a token.
const UNAUTHENTICATED: usize = 16 * 1024;

pub(super) fn frames(scene: &Scene) -> Vec<Row> {
    let mut rows = entering(scene);
    rows.extend(sends(scene));
    rows.extend(others(scene));
    rows.extend(groups(scene));
    rows
}

fn raw(bytes: impl Into<Bytes>) -> Input {
    Input::Raw(Message::binary(bytes))
}

/// A number where this field has a message.
fn wrong_type(field: u8) -> Input {
    raw(vec![field << 3, 1])
}

fn token(text: &str) -> Input {
    Input::Frame(Body::Authenticate(Authenticate { token: text.to_owned() }))
}

fn ticket(bytes: &[u8]) -> Input {
    Input::Frame(Body::Resume(Resume { ticket: Bytes::copy_from_slice(bytes) }))
}

#[rustfmt::skip]
fn entering(scene: &Scene) -> Vec<Row> {
    use When::{First, Served};

    let padded = |bytes: usize| {
        let token = "x".repeat(bytes);
        raw(frame(Body::Authenticate(Authenticate { token })))
    };
    vec![
        ("any", "no frame", First, raw(vec![0xff; 3]), MALFORMED),
        ("any", "no frame", Served, raw(vec![0xff; 3]), MALFORMED),
        ("any", "text", Served, Input::Raw(Message::text("{}")), "4505 wrong_frame_kind"),
        ("any", "of a later version", Served, raw(vec![8, 7, 0xfa, 1, 0]), "unknown_frame"),
        (AUTHENTICATE, "no token", First, token("x"), "token_malformed, 4501 authentication_failed"),
        (AUTHENTICATE, "an empty one", First, token(""), "token_malformed, 4501 authentication_failed"),
        (AUTHENTICATE, "no token", Served, token("x"), "token_malformed"),
        (AUTHENTICATE, "of an app", First, token(&scene.bob.app_token), "token_malformed, 4501 authentication_failed"),
        (AUTHENTICATE, "of another device", Served, token(scene.alice.token(1)), "token_other_device"),
        (AUTHENTICATE, "another type", First, wrong_type(2), MALFORMED),
        (AUTHENTICATE, "too large", First, padded(UNAUTHENTICATED + 1), TOO_LARGE),
        (AUTHENTICATE, "too large", Served, padded(MAX_FRAME_BYTES + 1), TOO_LARGE),
        (RESUME, "a ticket that was shown before", First, ticket(&scene.spent_ticket), "resume_refused"),
        (RESUME, "a ticket that nobody gave", First, ticket(&[7; 32]), "resume_refused"),
        (RESUME, "too short", First, ticket(&[7; 31]), "resume_refused"),
        (RESUME, "too large", First, ticket(&[7; UNAUTHENTICATED]), TOO_LARGE),
        (RESUME, "once a token was shown", Served, ticket(&[7; 32]), "resume_refused"),
        (RESUME, "another type", First, wrong_type(6), MALFORMED),
    ]
}

#[rustfmt::skip]
fn sends(scene: &Scene) -> Vec<Row> {
    use When::{First, Served};

    let send = |change: &dyn Fn(&mut Send)| {
        let mut send = scene.alice.send(&[1, 2]);
        change(&mut send);
        Input::Frame(Body::Send(send))
    };
    let bytes = |count: usize| Bytes::from(vec![7; count]);
    let stranger = Bytes::copy_from_slice(scene.stranger.uuid().as_bytes());
    let mallory = Bytes::copy_from_slice(scene.mallory.account.uuid().as_bytes());
    let long_ago = Bytes::copy_from_slice(ClientMsgId::new(1, [7; 10]).as_bytes());
    let ephemeral = i32::from(MessageClass::Ephemeral);
    vec![
        (SEND, "too early", First, send(&|_| {}), FIRST),
        (SEND, "another type", Served, wrong_type(3), MALFORMED),
        (SEND, "too large a frame", Served, send(&|it| it.messages[0].ciphertext = bytes(MAX_FRAME_BYTES)), TOO_LARGE),
        (SEND, "a ciphertext too large", Served, send(&|it| it.messages[0].ciphertext = bytes(64 * 1024 + 1)), "ciphertext_too_large"),
        (SEND, "no ciphertext", Served, send(&|it| it.messages[1].ciphertext = Bytes::new()), "empty_ciphertext"),
        (SEND, "an unknown type", Served, send(&|it| it.messages[0].r#type = 0), "unknown_ciphertext_type"),
        (SEND, "no messages", Served, send(&|it| it.messages.clear()), "no_messages"),
        (SEND, "too many messages", Served, send(&|it| it.messages = vec![it.messages[0].clone(); 11]), "too_many_devices"),
        (SEND, "one device twice", Served, send(&|it| it.messages[1].device_id = 1), "duplicate_device"),
        (SEND, "no number of a device", Served, send(&|it| it.messages[1].device_id = 128), "malformed_device_id"),
        (SEND, "no id", Served, send(&|it| it.client_msg_id = Bytes::new()), "malformed_message_id"),
        (SEND, "an id of long ago", Served, send(&|it| it.client_msg_id = long_ago.clone()), "clock_skew"),
        (SEND, "no account", Served, send(&|it| it.recipient = bytes(15)), "malformed_recipient"),
        (SEND, "an account that there is not", Served, send(&|it| it.recipient = stranger.clone()), "unknown_recipient"),
        (SEND, "an account of strangers", Served, send(&|it| it.recipient = mallory.clone()), "not_interoperable"),
        (SEND, "too long a life", Served, send(&|it| it.ttl_seconds = u32::MAX), "ttl_too_long"),
        (SEND, "an unknown class", Served, send(&|it| it.class = 9), "unknown_class"),
        (SEND, "a life where there is none", Served, send(&|it| (it.class, it.ttl_seconds) = (ephemeral, 1)), "ephemeral_ttl"),
        (SEND, "too large for its class", Served, send(&|it| (it.class, it.messages[0].ciphertext) = (ephemeral, bytes(4_097))), "ephemeral_too_large"),
        (SEND, "a device left out", Served, send(&|it| it.messages.truncate(1)), "device_mismatch"),
        (SEND, "a device of before", Served, send(&|it| it.messages[0].registration_id = 0), "device_mismatch"),
        (SEND, "a full queue", Served, Input::Frame(Body::Send(scene.frank.send(&[1]))), "queue_full"),
    ]
}

#[rustfmt::skip]
fn others(scene: &Scene) -> Vec<Row> {
    use When::{First, Served};

    let sent: uuid::Uuid = scene.sent.parse().unwrap();
    let sent = Bytes::copy_from_slice(sent.as_bytes());
    let own = Bytes::copy_from_slice(scene.bob.account.uuid().as_bytes());
    let retract = |change: fn(&mut Retract)| {
        let (client_msg_id, recipient) = (sent.clone(), own.clone());
        let mut retract = Retract { client_msg_id, recipient, device_ids: vec![1] };
        change(&mut retract);
        Input::Frame(Body::Retract(retract))
    };
    let envelope = Bytes::copy_from_slice(scene.envelope.as_bytes());
    let ack = |envelope_ids: Vec<Bytes>| Input::Frame(Body::Ack(Ack { envelope_ids }));
    vec![
        (RETRACT, "too early", First, retract(|_| {}), FIRST),
        (RETRACT, "another type", Served, wrong_type(5), MALFORMED),
        (RETRACT, "no devices", Served, retract(|it| it.device_ids.clear()), "no_devices"),
        (RETRACT, "too many devices", Served, retract(|it| it.device_ids = (1..=11).collect()), "too_many_devices"),
        (RETRACT, "one device twice", Served, retract(|it| it.device_ids = vec![1, 1]), "duplicate_device"),
        (RETRACT, "no number of a device", Served, retract(|it| it.device_ids = vec![0]), "malformed_device_id"),
        (RETRACT, "no id", Served, retract(|it| it.client_msg_id = Bytes::new()), "malformed_message_id"),
        (RETRACT, "no account", Served, retract(|it| it.recipient = Bytes::new()), "malformed_recipient"),
        (RETRACT, "the message of somebody else", Served, retract(|_| {}), "retracted"),
        (ACK, "too early", First, ack(vec![envelope.clone()]), FIRST),
        (ACK, "another type", Served, wrong_type(4), MALFORMED),
        (ACK, "an id too short", Served, ack(vec![envelope.slice(1..)]), "malformed_envelope_id"),
        (ACK, "no id among others", Served, ack(vec![envelope.clone(), Bytes::new()]), "malformed_envelope_id"),
        (ACK, "too many ids", Served, ack(vec![envelope.clone(); 257]), "too_many_ids"),
        (ACK, "the envelope of somebody else", Served, ack(vec![envelope]), "no answer"),
    ]
}

#[rustfmt::skip]
fn groups(scene: &Scene) -> Vec<Row> {
    use When::{First, Served};

    let send = |change: &dyn Fn(&mut GroupSend)| {
        let mut send = scene.group.send();
        change(&mut send);
        Input::Frame(Body::GroupSend(send))
    };
    let ack = |cursors: Vec<GroupCursor>| Input::Frame(Body::GroupAck(GroupAck { cursors }));
    let own = GroupCursor { group: scene.group.send().group, seq: 0 };
    let other = |group: Vec<u8>| GroupCursor { group: group.into(), seq: 1 };
    let bytes = |count: usize| Bytes::from(vec![7; count]);
    let nowhere = uuid::Uuid::new_v4();
    let nowhere = Bytes::copy_from_slice(nowhere.as_bytes());
    vec![
        (GROUP_SEND, "too early", First, send(&|_| {}), FIRST),
        (GROUP_SEND, "another type", Served, wrong_type(7), MALFORMED),
        (GROUP_SEND, "too large a frame", Served, send(&|it| it.message = bytes(MAX_FRAME_BYTES)), TOO_LARGE),
        (GROUP_SEND, "too large", Served, send(&|it| it.message = bytes(MAX_GROUP_MESSAGE_BYTES + 1)), "message_too_large"),
        (GROUP_SEND, "nothing", Served, send(&|it| it.message = Bytes::new()), "malformed_group_message"),
        (GROUP_SEND, "noise", Served, send(&|it| it.message = bytes(100)), "malformed_group_message"),
        (GROUP_SEND, "no group", Served, send(&|it| it.group = bytes(15)), "malformed_group_id"),
        (GROUP_SEND, "a group of another kind", Served, send(&|it| it.group = bytes(16)), "malformed_group_id"),
        (GROUP_SEND, "the message of another group", Served, send(&|it| it.group = nowhere.clone()), "malformed_group_message"),
        (GROUP_SEND, "no id", Served, send(&|it| it.client_msg_id = Bytes::new()), "malformed_message_id"),
        (GROUP_SEND, "another epoch than it says", Served, send(&|it| it.epoch += 1), "malformed_group_message"),
        (GROUP_SEND, "another generation than it says", Served, send(&|it| it.generation = 1), "malformed_group_message"),
        (GROUP_SEND, "an epoch that is over", Served, Input::Frame(Body::GroupSend(scene.group.late_send())), "group_stale"),
        (GROUP_ACK, "too early", First, ack(vec![own.clone()]), FIRST),
        (GROUP_ACK, "another type", Served, wrong_type(8), MALFORMED),
        (GROUP_ACK, "too many", Served, ack(vec![own.clone(); 257]), "too_many_cursors"),
        (GROUP_ACK, "no group among others", Served, ack(vec![own.clone(), other(vec![7; 15])]), "malformed_group_id"),
        (GROUP_ACK, "a group of nobody's", Served, ack(vec![other(nowhere.to_vec())]), "no answer"),
        (GROUP_ACK, "one that goes back", Served, ack(vec![own]), "no answer"),
    ]
}
