use sotto_proto::identity::{Genesis, RevokeDevice, SetHandle};

use super::*;

fn op(body: Option<Body>) -> Op {
    Op {
        v: OP_VERSION,
        account_id: vec![1; 32],
        seq: 3,
        prev: vec![2; 32],
        ts_ms: 1_700_000_000_000,
        body,
    }
}

fn set_handle() -> Op {
    op(Some(Body::SetHandle(SetHandle { handle: "alice".to_owned() })))
}

/// A length-delimited field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(content.len() as u64, &mut field);
    field.extend_from_slice(content);
    field
}

fn with(op: &Op, tail: &[u8]) -> Vec<u8> {
    [encode_op(op).as_slice(), tail].concat()
}

#[test]
fn an_op_survives_its_bytes() {
    let op = set_handle();
    assert_eq!(decode_op(&encode_op(&op)), Ok(op));
}

#[test]
fn bodies_that_are_not_built_are_refused_by_name() {
    let names = [
        (22, "recover_intent"),
        (23, "cancel_recover"),
        (24, "tombstone"),
        (34, "set_home"),
        (48, "add_claim"),
        (49, "drop_claim"),
        (50, "add_attestation"),
        (51, "revoke_attestation"),
        (52, "set_shared_files"),
        (53, "set_inbox_policy"),
    ];
    for (number, name) in names {
        let payload = with(&op(None), &field(number, b"whatever"));
        assert_eq!(decode_op(&payload), Err(ChainError::UnsupportedOp { name }));
    }
}

#[test]
fn other_unknown_fields_under_1000_need_an_upgrade() {
    for number in [6, 15, 25, 31, 37, 54, 999] {
        let alone = with(&op(None), &field(number, b""));
        let beside_a_body = with(&set_handle(), &field(number, b""));
        assert_eq!(decode_op(&alone), Err(ChainError::UpgradeNeeded), "{number}");
        assert_eq!(decode_op(&beside_a_body), Err(ChainError::UpgradeNeeded), "{number}");
    }
}

#[test]
fn a_later_version_needs_an_upgrade() {
    let later = Op { v: 2, ..set_handle() };
    let none = Op { v: 0, ..set_handle() };
    assert_eq!(decode_op(&encode_op(&later)), Err(ChainError::UpgradeNeeded));
    assert_eq!(decode_op(&encode_op(&none)), Err(ChainError::MalformedOp));
}

#[test]
fn a_body_from_1000_on_is_passed_over() {
    for (number, content) in [(1000, b"".as_slice()), (1001, b"text"), (536_870_911, &[9; 300])] {
        let payload = with(&op(None), &field(number, content));
        assert_eq!(decode_op(&payload), Ok(op(None)), "{number}");
    }
}

#[test]
fn a_body_that_is_passed_over_stands_alone_and_last() {
    let note = field(1000, b"note");
    let bare = encode_op(&op(None));
    let (before, after) = bare.split_at(2);
    let in_the_middle = [before, &note, after].concat();
    let beside_a_body = with(&set_handle(), &note);
    let twice = with(&op(None), &[note.as_slice(), &note].concat());
    for payload in [in_the_middle, beside_a_body, twice] {
        assert_eq!(decode_op(&payload), Err(ChainError::NotCanonical));
    }
}

#[test]
fn a_body_that_is_passed_over_has_one_form() {
    let mut as_a_number = Vec::new();
    encode_key(1000, WireType::Varint, &mut as_a_number);
    as_a_number.push(7);
    let mut with_a_long_length = Vec::new();
    encode_key(1000, WireType::LengthDelimited, &mut with_a_long_length);
    with_a_long_length.extend([0x84, 0x00]);
    with_a_long_length.extend(b"note");
    // 1000 * 8 + 2 = 0x1F42, in three bytes instead of two.
    let with_a_long_number = [&[0xC2, 0xBE, 0x00, 4], b"note".as_slice()].concat();

    for tail in [as_a_number, with_a_long_length, with_a_long_number] {
        assert_eq!(decode_op(&with(&op(None), &tail)), Err(ChainError::NotCanonical));
    }
}

#[test]
fn other_encodings_of_the_same_op_are_refused() {
    let plain = encode_op(&set_handle());
    assert_eq!(plain.get(..2), Some([0x08, 0x01].as_slice()), "it starts with v = 1");
    let rest = &plain[2..];
    let with_a_long_number = [&[0x08, 0x81, 0x00], rest].concat();
    let in_another_order = [rest, &[0x08, 0x01]].concat();
    let with_a_field_twice = [&[0x08, 0x01], plain.as_slice()].concat();
    let with_a_default_written_out = with(&Op { seq: 0, ..set_handle() }, &[0x18, 0x00]);
    let with_two_bodies = with(&set_handle(), &field(18, &[0x08, 0x02]));
    for payload in [
        with_a_long_number,
        in_another_order,
        with_a_field_twice,
        with_a_default_written_out,
        with_two_bodies,
    ] {
        assert_eq!(decode_op(&payload), Err(ChainError::NotCanonical));
    }
}

#[test]
fn unknown_fields_inside_a_body_are_refused() {
    let revoke = op(Some(Body::RevokeDevice(RevokeDevice { device_id: 2 })));
    let with_a_field_more = with(&op(None), &field(18, &[0x08, 0x02, 0x10, 0x01]));
    assert!(decode_op(&encode_op(&revoke)).is_ok());
    assert_eq!(decode_op(&with_a_field_more), Err(ChainError::NotCanonical));
}

#[test]
fn bytes_that_are_no_op_are_refused() {
    let plain = encode_op(&set_handle());
    let an_open_group = with(&op(None), &[0xA3, 0x01]);
    let bad_utf8 = with(&op(None), &field(32, &[0x0A, 0x02, 0xC3, 0x28]));
    for payload in [&plain[..plain.len() - 1], &[0x00], &[0xFF; 20], &an_open_group, &bad_utf8] {
        assert_eq!(decode_op(payload), Err(ChainError::MalformedOp));
    }
    assert_eq!(decode_op(&encode_op(&op(None))), Err(ChainError::MissingBody));
}

#[test]
fn an_op_has_its_largest_size() {
    let empty = with(&op(None), &field(1000, &[0; 200])).len() - 200;
    let fits = with(&op(None), &field(1000, &vec![0; MAX_OP_BYTES - empty]));
    let too_large = with(&op(None), &field(1000, &vec![0; MAX_OP_BYTES - empty + 1]));

    assert_eq!(fits.len(), MAX_OP_BYTES);
    assert_eq!(decode_op(&fits), Ok(op(None)));
    assert_eq!(decode_op(&too_large), Err(ChainError::OpTooLarge));
}

#[test]
fn a_reverse_signature_is_over_the_op_without_reverse_signatures() {
    let device = sotto_proto::identity::AddDevice {
        device_id: 1,
        rsig_device: vec![1; 64],
        rsig_identity: vec![2; 64],
        rsig_mls: vec![3; 64],
        ..Default::default()
    };
    let genesis =
        |device| Body::Genesis(Genesis { first_device: Some(device), ..Default::default() });
    let bare = sotto_proto::identity::AddDevice { device_id: 1, ..Default::default() };
    for (full, bare) in [
        (Body::AddDevice(device.clone()), Body::AddDevice(bare.clone())),
        (genesis(device), genesis(bare)),
    ] {
        let bare = encode_op(&op(Some(bare)));
        let full = op(Some(full));

        let by_device = [b"sotto/rsig-device/v1".as_slice(), &bare].concat();
        let by_identity = [&[0xFF; 32], b"sotto/rsig-identity/v1".as_slice(), &bare].concat();
        let by_mls = [b"sotto/rsig-mls/v1".as_slice(), &bare].concat();
        assert_eq!(rsig_message(&full, Rsig::Device), by_device);
        assert_eq!(rsig_message(&full, Rsig::Identity), by_identity);
        assert_eq!(rsig_message(&full, Rsig::Mls), by_mls);
    }
}
