//! A Sotto token, as a caller shows it.
#![no_main]

use std::sync::{Arc, OnceLock};

use sotto_kit::{
    auth::{TokenKey, TokenKeys, TokenKeysUnavailable, TokenVerifier},
    clock::TestClock,
};
use tokio::runtime::{Builder, Runtime};

#[derive(Debug)]
struct OneKey;

#[async_trait::async_trait]
impl TokenKeys for OneKey {
    async fn fetch(&self) -> Result<Vec<TokenKey>, TokenKeysUnavailable> {
        // The public key of RFC 8037 appendix A.2.
        let public_key = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64,
            0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
            0xf7, 0x07, 0x51, 0x1a,
        ];
        Ok(vec![TokenKey { kid: "1".into(), public_key, not_after_ms: u64::MAX }])
    }
}

fn verifier() -> &'static (Runtime, TokenVerifier) {
    static VERIFIER: OnceLock<(Runtime, TokenVerifier)> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let clock = Arc::new(TestClock::new(1_750_000_000_000));
        (runtime, TokenVerifier::new("chat.example".into(), Arc::new(OneKey), clock))
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (runtime, verifier) = verifier();
    // Nobody here has the private key.
    runtime.block_on(verifier.verify(text)).expect_err("a token that nobody signed was taken");
});
