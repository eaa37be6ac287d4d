//! What processes read out of Redis: anybody may have written there.
#![no_main]

use sotto_store::{notices::Notice, places::Place};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(place) = text.parse::<Place>() {
        assert_eq!(place.to_string().parse::<Place>().as_ref(), Ok(&place));
    }
    let _unread = serde_json::from_str::<Notice>(text);
});
