//! The texts of ids and handles: what is taken prints as what was read.
#![no_main]

use sotto_ids::{AccountId, AccountUuid, Handle};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(account) = text.parse::<AccountId>() {
        assert_eq!(account.to_string(), text);
    }
    if let Ok(account) = text.parse::<AccountUuid>() {
        assert_eq!(account.to_string().parse::<AccountUuid>().as_ref(), Ok(&account));
    }
    if let Ok(handle) = text.parse::<Handle>() {
        assert_eq!(handle.as_str(), text);
    }
});
