//! What the fuzz targets reach. Nothing of it is in a build that is not for them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sotto_ids::{AccountId, ConnectionId, DeviceAddress, DeviceId};
use sotto_kit::config::Validate;

use crate::{
    config::GatewayConfig,
    rest,
    session::{
        codec::Encoding,
        io::{Action, Actions, Identity, Input},
        machine::{Machine, Setup},
    },
    transport::frames::{Budget, FrameReader},
};

const NOW_MS: u64 = 1_750_000_000_000;

/// What one socket may have unfinished here.
const BUDGET: usize = 1 << 20;

#[derive(serde::Deserialize)]
struct File {
    gateway: GatewayConfig,
}

impl Validate for File {
    fn validate(&self, problems: &mut Vec<String>) {
        self.gateway.validate(problems);
    }
}

fn config() -> GatewayConfig {
    let file = sotto_kit::config::load::<File>(crate::DEFAULT_CONFIG, &[]);
    file.expect("the defaults are valid").gateway
}

/// Bytes as they arrive, in pieces whose lengths the first byte decides.
pub fn websocket_frames(data: &[u8]) {
    let Some((&cut, rest)) = data.split_first() else { return };
    let mut reader = FrameReader::new(Budget::new(BUDGET));
    for piece in rest.chunks(usize::from(cut).max(1)) {
        reader.feed(Bytes::copy_from_slice(piece));
        let _close = reader.has_close();
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Requests to the REST endpoints, before anybody decides on them.
pub fn rest_requests(data: &[u8]) {
    rest::fuzz(data);
}

/// Frames of a device on a running session: each after its length in two bytes. Whatever
/// they are, what is written in answer is a frame too, and what is asked for is bounded.
pub fn session(data: &[u8], json: bool) {
    let encoding = if json { Encoding::Json } else { Encoding::Proto };
    let config = config();
    let mut machine = Machine::new(Setup {
        connection: ConnectionId(1),
        session: Arc::new(config.session),
        mailbox: config.mailbox,
        phase: 0,
        now_ms: NOW_MS,
        groups: true,
    });
    let mut out = Actions::new();
    let identity = Identity {
        device: DeviceAddress::new(AccountId::new([7; 32]).uuid(), DeviceId::FIRST),
        app: "socialink".to_owned(),
        token_expires_at_ms: NOW_MS + 600_000,
    };
    machine.step(Input::Opened { token: Some("token".to_owned()) }, NOW_MS, &mut out);
    machine.step(Input::Verified { in_reply_to: 0, verdict: Ok(identity) }, NOW_MS, &mut out);
    machine.step(Input::Admitted { ticket: None }, NOW_MS, &mut out);
    out.clear();

    let mut rest = data;
    while let Some((&[high, low], behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        let (payload, next) = behind.split_at(length);
        rest = next;
        match encoding.decode(Bytes::copy_from_slice(payload)) {
            Ok(frame) => machine.step(Input::Frame(frame), NOW_MS, &mut out),
            Err(_) => return,
        }
        assert!(out.len() <= 8, "one frame has asked for {} things", out.len());
        for action in out.drain(..) {
            if let Action::Send(frame) = action {
                let mut written = BytesMut::new();
                encoding.encode(&frame, &mut written);
                assert!(!written.is_empty());
            }
        }
    }
}
