use sotto_identity::{Endpoint, EndpointKind, Evidence, pin::Pin, prekeys::Prekeys};

use crate::harness::{Chain, new_device, recovery};

#[test]
fn debug_output_shows_neither_ids_nor_keys() {
    let mut chain = Chain::open();
    chain.add(2, false);
    let evidence = Evidence {
        shared: chain.ops.clone(),
        ours: chain.ops[1].clone(),
        theirs: chain.ops[1].clone(),
    };
    let device = |admin| format!("Device {{ admin: {admin}, live: true, .. }}");

    assert_eq!(
        format!("{:?}", chain.state),
        format!(
            "State {{ seq: 1, devices: [{}, {}], rotation_due: false, admin_due: false, .. }}",
            device(true),
            device(false)
        )
    );
    assert_eq!(format!("{:?}", chain.state.head), "LinkHash(..)");
    assert_eq!(format!("{:?}", Pin::of(&chain.state)), "Pin { seq: 1, .. }");
    assert_eq!(format!("{:?}", recovery(1, 2)), "Recovery(1 of 2)");
    let endpoint = Endpoint { kind: EndpointKind::Pin, url: "https://alice.example".to_owned() };
    assert_eq!(format!("{endpoint:?}"), "Endpoint { kind: Pin, .. }");
    assert_eq!(format!("{evidence:?}"), "Evidence(at seq 2)");
    assert_eq!(format!("{:?}", new_device(1, true)), "NewDevice { admin: true, .. }");
    let prekeys = Prekeys { signed_ec: Some((1, &[1; 33])), ..Prekeys::default() };
    assert_eq!(format!("{prekeys:?}"), "Prekeys { one_time_ec: 0, one_time_kyber: 0, .. }");
    assert_eq!(format!("{:?}", new_device(1, true).identity_key), "IdentityKey(..)");
}
