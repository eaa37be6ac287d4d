use std::net::{IpAddr, Ipv6Addr};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What stands for an address, in hex.
pub(super) fn hash(address: IpAddr, salt: &[u8; 32]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).expect("HMAC takes keys of any length");
    match network(address) {
        IpAddr::V4(address) => mac.update(&address.octets()),
        IpAddr::V6(address) => mac.update(&address.octets()),
    }
    let hash = mac.finalize().into_bytes();
    let (first, _) = hash.split_first_chunk().expect("SHA-256 gives 32 bytes");
    // Two addresses never meet by chance in half of it.
    format!("{:032x}", u128::from_be_bytes(*first))
}

/// An IPv4 address, or the /64 of an IPv6 one: who has one address of it has them all.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(prefix).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 32] = [7; 32];

    fn hash_of(address: &str) -> String {
        hash(address.parse().unwrap(), &SALT)
    }

    #[test]
    fn the_addresses_of_one_customer_are_one_subject() {
        assert_eq!(hash_of("2001:db8::1"), hash_of("2001:db8::ffff:2:3"));
        assert_ne!(hash_of("2001:db8:0:1::1"), hash_of("2001:db8::1"));
        assert_ne!(hash_of("192.0.2.1"), hash_of("192.0.2.2"));
    }

    #[test]
    fn an_address_is_the_same_in_both_of_its_forms() {
        assert_eq!(hash_of("::ffff:192.0.2.1"), hash_of("192.0.2.1"));
    }

    #[test]
    fn with_another_salt_nothing_is_recognised() {
        let address = "192.0.2.1".parse().unwrap();

        assert_ne!(hash(address, &SALT), hash(address, &[8; 32]));
    }
}
