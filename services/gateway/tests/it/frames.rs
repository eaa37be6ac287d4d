use bytes::Bytes;
use futures_util::SinkExt as _;
use prost::Message as _;
use sotto_ids::limits::MAX_FRAME_BYTES;
use sotto_proto::socket::{Ack, ClientFrame, client_frame};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::harness::{Device, Form, Replica, Signer, TestGateway};

async fn connect(gateway: &TestGateway, form: Form) -> Device {
    let token = Signer::new().token(600);
    let mut device = Device::open(gateway.address()).form(form).token(&token).connect().await;
    device.hello().await;
    device.queue_empty().await;
    device
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_of_the_protocol_ends_the_socket() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let too_large = vec![0; MAX_FRAME_BYTES + 1];

    for (form, message, close) in [
        (Form::Proto, Message::binary(too_large), (4504, "frame_too_large")),
        (Form::Proto, Message::binary(&b"\xff\xff\xff"[..]), (4503, "malformed_frame")),
        (Form::Json, Message::text("{\"id\":"), (4503, "malformed_frame")),
        (Form::Proto, Message::text("{}"), (4505, "wrong_frame_kind")),
        (Form::Json, Message::binary(&b""[..]), (4505, "wrong_frame_kind")),
    ] {
        let mut device = connect(&gateway, form).await;

        // A frame that is refused by its header may find the socket closed.
        drop(device.socket.send(message).await);

        assert_eq!(device.closed().await, (close.0, close.1.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_the_largest_size_is_taken() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut device = connect(&gateway, Form::Proto).await;

    let frame = device.send(&vec![1; MAX_FRAME_BYTES - 64]).await;

    device.accepted(frame).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_come_in_fragments() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut device = connect(&gateway, Form::Proto).await;
    let ids = vec![Bytes::from_static(b"no id")];
    let body = Some(client_frame::Body::Ack(Ack { envelope_ids: ids }));
    let bytes = ClientFrame { id: 77, body }.encode_to_vec();
    let (one, two) = bytes.split_at(5);

    let first = Frame::message(one.to_vec(), OpCode::Data(Data::Binary), false);
    let last = Frame::message(two.to_vec(), OpCode::Data(Data::Continue), true);
    device.socket.send(Message::Frame(first)).await.unwrap();
    device.socket.send(Message::Ping(Bytes::from_static(b"between"))).await.unwrap();
    device.socket.send(Message::Frame(last)).await.unwrap();

    let (answered, error) = device.error().await;
    assert_eq!((answered, error.reason.as_str()), (77, "malformed_envelope_id"));
}

/// I-6. Caught with the answer of the budget passed over: no socket is closed.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_frames_of_all_sockets_are_bounded_together() {
    let mut config = crate::harness::config();
    config.max_partial_bytes.0 = 300_000;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let part = Frame::message(vec![0; 100_000], OpCode::Data(Data::Binary), false);
    let mut devices = Vec::new();
    for _ in 0..4 {
        let mut device = connect(&gateway, Form::Proto).await;
        device.socket.send(Message::Frame(part.clone())).await.unwrap();
        devices.push(device);
    }

    let closed = devices.iter_mut().map(|device| Box::pin(device.closed()));
    let (close, _, _) = futures_util::future::select_all(closed).await;

    assert_eq!(close, (4005, "unavailable".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_closes_is_answered() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;

    connect(&gateway, Form::Proto).await.close().await;
}
