use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Device, Signer, TestGateway, within};

/// What a plain request with these headers is answered: the status and the problem.
async fn refused(gateway: &TestGateway, headers: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let request = format!("GET /v1/socket HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("the answer", async {
        while !answer.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
    })
    .await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/problem+json"), "{head}");
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_subprotocol_of_ours_is_refused() {
    let gateway = TestGateway::start(&[]).await;

    for offered in ["", "sec-websocket-protocol: graphql, sotto.v9.proto\r\n"] {
        let (status, problem) = refused(&gateway, &format!("{UPGRADE}{offered}")).await;

        assert_eq!((status, &problem["reason"]), (422, &"subprotocol_required".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_upgrade_is_refused() {
    let gateway = TestGateway::start(&[]).await;

    let (status, problem) = refused(&gateway, "sec-websocket-protocol: sotto.v1.json\r\n").await;

    assert_eq!((status, &problem["reason"]), (422, &"not_an_upgrade".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_gateway_takes_no_more_sockets() {
    let mut config = crate::harness::config();
    config.max_sockets = 2;
    let gateway = TestGateway::start_with(&[], config).await;
    let one = gateway.connect_early(Signer::new()).await;
    let _two = gateway.connect_early(Signer::new()).await;

    let offered = "sec-websocket-protocol: sotto.v1.json\r\n";
    let (status, problem) = refused(&gateway, &format!("{UPGRADE}{offered}")).await;
    assert_eq!((status, &problem["reason"]), (503, &"too_many_sockets".into()));

    one.close().await;
    let address = gateway.address();
    crate::harness::wait_for("room", async || Device::open(address).try_connect().await.is_ok())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_with_a_body_is_refused() {
    let gateway = TestGateway::start(&[]).await;
    let offered = "sec-websocket-protocol: sotto.v1.json\r\n";

    for body in ["content-length: 5\r\n", "transfer-encoding: chunked\r\n"] {
        let (status, problem) = refused(&gateway, &format!("{UPGRADE}{offered}{body}")).await;

        assert_eq!((status, &problem["reason"]), (422, &"not_an_upgrade".into()));
    }
}
