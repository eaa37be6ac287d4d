use std::sync::atomic::AtomicUsize;

use jsonwebtoken::{EncodingKey, Header, encode};

use super::*;
use crate::clock::TestClock;

// An Ed25519 key pair made for these tests: a PKCS #8 document (RFC 8410) is this
// prefix and the 32 bytes of the seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The public half of the seed `[7; 32]`.
const PUBLIC_OF_SEED_7: [u8; 32] = [
    0xea, 0x4a, 0x6c, 0x63, 0xe2, 0x9c, 0x52, 0x0a, 0xbe, 0xf5, 0x50, 0x7b, 0x13, 0x2e, 0xc5, 0xf9,
    0x95, 0x47, 0x76, 0xae, 0xbe, 0xbe, 0x7b, 0x92, 0x42, 0x1e, 0xea, 0x69, 0x14, 0x46, 0xd2, 0x2c,
];
const NOW_MS: u64 = 1_800_000_000_000;

#[derive(Debug, Default)]
struct Source {
    fetched: AtomicUsize,
    broken: AtomicBool,
    hanging: AtomicBool,
    also_k8: AtomicBool,
}

#[async_trait::async_trait]
impl TokenKeys for Source {
    async fn fetch(&self) -> Result<Vec<TokenKey>, TokenKeysUnavailable> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err(TokenKeysUnavailable("cut off".into()));
        }
        if self.hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let key = |kid: &str| TokenKey {
            kid: kid.into(),
            public_key: PUBLIC_OF_SEED_7,
            not_after_ms: NOW_MS + 3_600_000,
        };
        let also_k8 = self.also_k8.load(Ordering::SeqCst);
        Ok(["k7", "k8"].into_iter().take(1 + usize::from(also_k8)).map(key).collect())
    }
}

struct Scene {
    source: Arc<Source>,
    clock: Arc<TestClock>,
    verifier: TokenVerifier,
}

fn scene() -> Scene {
    let source = Arc::new(Source::default());
    let clock = Arc::new(TestClock::new(NOW_MS));
    let verifier = TokenVerifier::new("sotto.test".into(), source.clone(), clock.clone());
    Scene { source, clock, verifier }
}

fn claims() -> SottoClaims {
    SottoClaims {
        iss: "sotto.test".into(),
        aud: "sotto.test".into(),
        sub: AccountId::new([3; 32]),
        did: DeviceId::FIRST,
        app: "socialink".into(),
        jti: "j".into(),
        iat: NOW_MS / 1000,
        exp: NOW_MS / 1000 + 600,
    }
}

fn header() -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TOKEN_TYP.into());
    header.kid = Some("k7".into());
    header
}

fn sign(header: &Header, claims: &SottoClaims, seed: u8) -> String {
    let der = [PKCS8_PREFIX.as_slice(), &[seed; 32]].concat();
    encode(header, claims, &EncodingKey::from_ed_der(&der)).unwrap()
}

async fn reason(scene: &Scene, token: &str) -> &'static str {
    scene.verifier.verify(token).await.unwrap_err().reason()
}

#[tokio::test]
async fn a_good_token_names_its_device() {
    let scene = scene();

    let caller = scene.verifier.verify(&sign(&header(), &claims(), 7)).await.unwrap();

    assert_eq!(caller.account_id, AccountId::new([3; 32]));
    assert_eq!(caller.device.device, DeviceId::FIRST);
    assert_eq!(caller.app, "socialink");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_key_domain_or_type_is_refused() {
    let scene = scene();
    let other_domain = SottoClaims { aud: "other.test".into(), ..claims() };
    let other_issuer = SottoClaims { iss: "other.test".into(), ..claims() };
    let plain_jwt = Header { typ: Some("JWT".into()), ..header() };
    let unknown_kid = Header { kid: Some("k8".into()), ..header() };

    assert_eq!(reason(&scene, &sign(&header(), &claims(), 8)).await, "token_invalid");
    assert_eq!(reason(&scene, &sign(&header(), &other_domain, 7)).await, "token_invalid");
    assert_eq!(reason(&scene, &sign(&header(), &other_issuer, 7)).await, "token_invalid");
    assert_eq!(reason(&scene, &sign(&plain_jwt, &claims(), 7)).await, "token_malformed");
    assert_eq!(reason(&scene, &sign(&unknown_kid, &claims(), 7)).await, "token_invalid");
    assert_eq!(reason(&scene, "not.a.token").await, "token_malformed");
}

#[tokio::test]
async fn an_hmac_over_the_public_key_is_refused() {
    let scene = scene();
    let hmac = Header { alg: Algorithm::HS256, ..header() };
    let token = encode(&hmac, &claims(), &EncodingKey::from_secret(&PUBLIC_OF_SEED_7)).unwrap();

    assert_eq!(reason(&scene, &token).await, "token_malformed");
}

#[tokio::test]
async fn a_token_ends_when_it_says() {
    let scene = scene();
    let token = sign(&header(), &claims(), 7);
    scene.verifier.verify(&token).await.unwrap();

    scene.clock.advance(Duration::from_secs(600));

    assert_eq!(reason(&scene, &token).await, "token_expired");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_causes_one_fetch_a_second() {
    let scene = scene();
    let unknown_kid = Header { kid: Some("k8".into()), ..header() };
    let token = sign(&unknown_kid, &claims(), 7);
    assert_eq!(reason(&scene, &token).await, "token_invalid");

    let flood = futures_util::future::join_all((0..50).map(|_| reason(&scene, &token))).await;

    assert!(flood.iter().all(|reason| *reason == "token_invalid"));
    assert_eq!(scene.source.fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_key_that_is_brand_new_is_fetched_rather_than_refused() {
    let scene = scene();
    let unknown_kid = Header { kid: Some("k8".into()), ..header() };
    assert_eq!(reason(&scene, &sign(&unknown_kid, &claims(), 7)).await, "token_invalid");
    scene.source.also_k8.store(true, Ordering::SeqCst);
    scene.clock.advance(Duration::from_secs(1));

    scene.verifier.verify(&sign(&unknown_kid, &claims(), 7)).await.unwrap();
}

#[tokio::test]
async fn a_fetch_that_hangs_holds_up_nobody_whose_key_is_known() {
    let scene = scene();
    let claims = SottoClaims { exp: NOW_MS / 1000 + 3000, ..claims() };
    let token = sign(&header(), &claims, 7);
    scene.verifier.verify(&token).await.unwrap();
    scene.source.hanging.store(true, Ordering::SeqCst);
    scene.clock.advance(Duration::from_secs(120));

    let (hanging, later) = (scene.verifier.verify(&token), scene.verifier.verify(&token));
    tokio::select! {
        biased;
        _ = hanging => panic!("somebody renews the set"),
        caller = later => drop(caller.unwrap()),
    }
}

#[tokio::test]
async fn known_keys_are_used_while_their_source_is_away() {
    let scene = scene();
    let claims = SottoClaims { exp: NOW_MS / 1000 + 3000, ..claims() };
    let token = sign(&header(), &claims, 7);
    scene.verifier.verify(&token).await.unwrap();
    scene.source.broken.store(true, Ordering::SeqCst);

    scene.clock.advance(Duration::from_secs(120));

    scene.verifier.verify(&token).await.unwrap();
}

#[tokio::test]
async fn without_any_keys_the_answer_is_to_come_again() {
    let scene = scene();
    scene.source.broken.store(true, Ordering::SeqCst);

    assert_eq!(reason(&scene, &sign(&header(), &claims(), 7)).await, "token_keys_unavailable");
}

/// It fails where those who waited for a fetch that came to nothing take their key for one
/// that does not exist: a crowd would be told that its good tokens are worth nothing.
#[tokio::test(start_paused = true)]
async fn without_any_keys_a_crowd_is_to_come_again() {
    let scene = scene();
    scene.source.broken.store(true, Ordering::SeqCst);
    let token = sign(&header(), &claims(), 7);

    let crowd = futures_util::future::join_all((0..50).map(|_| reason(&scene, &token))).await;

    assert!(crowd.iter().all(|reason| *reason == "token_keys_unavailable"), "{crowd:?}");
    assert_eq!(scene.source.fetched.load(Ordering::SeqCst), 1);
}
