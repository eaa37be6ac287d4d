//! The buckets of the limits, against the real server that `REDIS_URL` names.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may panic, and has nobody who would seed it"
)]

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};
use sotto_ids::{AccountId, DeviceAddress, DeviceId};
use sotto_kit::{clock::SystemClock, config::Secret, fault::Fault as _};
use sotto_store::{
    limits::{
        Allowance, AppLimits, Class, Decision, Limiter as _, Limits, LimitsConfig, Rate, Subject,
        Take,
    },
    redis::{Redis, RedisConfig, connect},
};

/// Long enough that a bucket gains nothing while a test runs, however slow the machine.
const HOUR: Duration = Duration::from_hours(1);

/// How long Redis may take. While it does not answer a process decides alone, which most
/// of these tests are not about.
const PATIENCE: Duration = Duration::from_mins(1);

async fn redis() -> Redis {
    let url = std::env::var("REDIS_URL").expect("REDIS_URL names a Redis for tests");
    connect(&RedisConfig { url: Secret::from_value(url), response_timeout: PATIENCE })
        .await
        .unwrap()
}

fn config(burst: u32, per: Duration) -> LimitsConfig {
    LimitsConfig {
        patience: PATIENCE,
        alone_for: Duration::from_secs(60),
        local_buckets: 1024,
        socket_batch: 4,
        exempt: Vec::new(),
        classes: Class::ALL.iter().map(|class| (*class, Rate { burst, per })).collect(),
    }
}

async fn limits_of(config: LimitsConfig, apps: AppLimits) -> Limits {
    Limits::new(config, apps, redis().await, Arc::new(SystemClock), StdRng::from_os_rng())
}

/// Each class has a bucket of `burst` units that is filled in `per`.
async fn limits(burst: u32, per: Duration) -> Limits {
    limits_of(config(burst, per), AppLimits::new()).await
}

/// As `limits`, but Redis has gone away.
async fn limits_alone(burst: u32, per: Duration) -> Limits {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = listener.local_addr().unwrap();
    let (server, url) = led_past(&std::env::var("REDIS_URL").unwrap(), way);
    let forwarder = tokio::spawn(async move {
        let (mut ours, _) = listener.accept().await.unwrap();
        let mut theirs = tokio::net::TcpStream::connect(server).await.unwrap();
        tokio::io::copy_bidirectional(&mut ours, &mut theirs).await
    });
    let redis = connect(&RedisConfig { url: Secret::from_value(url), response_timeout: PATIENCE })
        .await
        .unwrap();
    forwarder.abort();
    assert!(forwarder.await.unwrap_err().is_cancelled());

    let config = LimitsConfig { patience: Duration::from_millis(50), ..config(burst, per) };
    Limits::new(config, AppLimits::new(), redis, Arc::new(SystemClock), StdRng::from_os_rng())
}

/// Where a URL leads, and the same URL, with its password, leading elsewhere.
fn led_past(url: &str, way: SocketAddr) -> (String, String) {
    let authority = url.trim_start_matches("redis://").split('/').next().unwrap();
    let server = authority.rsplit('@').next().unwrap();
    (server.to_owned(), url.replace(server, &way.to_string()))
}

fn someone() -> DeviceAddress {
    DeviceAddress::new(AccountId::new(rand::random()).uuid(), DeviceId::FIRST)
}

fn anywhere() -> IpAddr {
    Ipv4Addr::from(rand::random::<u32>()).into()
}

fn sends(device: DeviceAddress) -> Take<'static> {
    Take::one(Class::Send, Subject::Device(device))
}

fn first_of(decision: &Decision) -> sotto_store::limits::Verdict {
    *decision.0.first().expect("a bucket was asked")
}

#[tokio::test]
async fn a_bucket_gives_its_burst_and_then_says_when_to_come_again() {
    let (limits, device) = (limits(3, HOUR).await, someone());

    let left: Vec<_> = [limits.take(&[sends(device)]).await, limits.take(&[sends(device)]).await]
        .iter()
        .map(|decision| first_of(decision).remaining)
        .collect();
    assert!(limits.take(&[sends(device)]).await.is_allowed());
    let refused = limits.take(&[sends(device)]).await;

    assert_eq!(left, [2, 1]);
    let error = refused.check().unwrap_err();
    assert_eq!(error.policies, ["send"]);
    let wait = error.retry_after();
    assert!(wait.is_some_and(|wait| wait > HOUR / 4 && wait <= HOUR / 3), "{wait:?}");
    assert!(limits.take(&[sends(someone())]).await.is_allowed(), "others have their own");
}

#[tokio::test]
async fn a_bucket_fills_again_evenly() {
    let (limits, device) = (limits(2, Duration::from_secs(1)).await, someone());
    let all = Take::exactly(2, Class::Send, Subject::Device(device));
    let emptied_after = Instant::now();
    assert!(limits.take(&[all]).await.is_allowed());

    for unit in 1..=3 {
        while let Err(refused) = limits.take(&[sends(device)]).await.check() {
            assert!(refused.retry_after <= Duration::from_millis(500), "{refused:?}");
            tokio::time::sleep(refused.retry_after).await;
        }
        let passed = emptied_after.elapsed();
        assert!(passed >= unit * Duration::from_millis(500), "{unit} after {passed:?}");
    }
}

/// Sabotage it caught: a script that does not write back what it took.
#[tokio::test]
async fn a_crowd_gets_no_more_than_the_bucket_holds() {
    let (limits, device) = (limits(10, HOUR).await, someone());

    let crowd = (0..80).map(|_| {
        let limits = limits.clone();
        tokio::spawn(async move { limits.take(&[sends(device)]).await.is_allowed() })
    });
    let mut allowed = 0;
    for one in crowd.collect::<Vec<_>>() {
        allowed += usize::from(one.await.unwrap());
    }

    assert_eq!(allowed, 10);
}

#[tokio::test]
async fn the_buckets_of_one_subject_give_together_or_not_at_all() {
    let (limits, device) = (limits(5, HOUR).await, someone());
    let subject = Subject::Device(device);
    let uploads = Take::exactly(5, Class::Upload, subject);
    assert!(limits.take(&[uploads]).await.is_allowed());

    let both = limits.take(&[sends(device), uploads]).await;
    let after = limits.take(&[sends(device)]).await;

    assert_eq!(both.check().unwrap_err().policies, ["upload"]);
    assert_eq!(first_of(&both).granted, 0);
    assert_eq!(first_of(&after).remaining, 4, "the refused request took no send");
}

#[tokio::test]
async fn an_app_has_a_ceiling_where_one_is_set() {
    let app = format!("app-{:08x}", rand::random::<u32>());
    let ceiling = BTreeMap::from([(Class::Send, Rate { burst: 2, per: HOUR })]);
    let limits = limits_of(config(100, HOUR), AppLimits::from([(app.clone(), ceiling)])).await;
    let send = async |app: &str| {
        limits.take(&[sends(someone()), Take::one(Class::Send, Subject::App(app))]).await
    };

    let allowed = [send(&app).await, send(&app).await, send(&app).await];

    assert_eq!(allowed.each_ref().map(Decision::is_allowed), [true, true, false]);
    assert_eq!(allowed[2].check().unwrap_err().policies, ["send-app"]);
    assert!(send("another").await.is_allowed());
}

#[tokio::test]
async fn an_address_is_counted_unless_it_is_exempt() {
    let exempt = vec!["10.0.0.0/8".parse().unwrap()];
    let limits = limits_of(LimitsConfig { exempt, ..config(1, HOUR) }, AppLimits::default()).await;
    let lookup = async |address| {
        limits.take(&[Take::one(Class::Lookup, Subject::Address(address))]).await.is_allowed()
    };
    let (address, ours) = (anywhere(), Ipv4Addr::new(10, 0, 0, 1).into());

    assert_eq!([lookup(address).await, lookup(address).await], [true, false]);
    assert_eq!([lookup(ours).await, lookup(ours).await], [true, true]);
}

/// I-5. Sabotage it caught: the address itself in the key.
#[tokio::test]
async fn no_address_is_written_to_redis() {
    let limits = limits(1000, HOUR).await;
    let address = Ipv4Addr::new(203, 0, 113, rand::random());

    limits.take(&[Take::one(Class::Lookup, Subject::Address(address.into()))]).await;

    let keys: Vec<Vec<u8>> = redis::cmd("KEYS")
        .arg("limits:*")
        .query_async(&mut redis().await.commands())
        .await
        .unwrap();
    let forms = [address.to_string().into_bytes(), address.octets().to_vec(), {
        format!("{:08x}", u32::from(address)).into_bytes()
    }];
    assert!(keys.iter().any(|key| key.ends_with(b":lookup")), "the bucket is there");
    for key in &keys {
        let names = |form: &Vec<u8>| key.windows(form.len()).any(|part| part == form.as_slice());
        assert!(!forms.iter().any(names), "{}", String::from_utf8_lossy(key));
    }
}

#[tokio::test]
async fn processes_agree_on_whose_bucket_an_address_is() {
    let (one, other, address) = (limits(1, HOUR).await, limits(1, HOUR).await, anywhere());
    let take = Take::one(Class::Lookup, Subject::Address(address));

    assert!(one.take(&[take]).await.is_allowed());
    assert!(!other.take(&[take]).await.is_allowed());
}

/// Sabotage it caught: allowing what Redis did not answer for.
#[tokio::test]
async fn without_redis_a_process_decides_by_the_same_table() {
    let (limits, device) = (limits_alone(3, HOUR).await, someone());

    let mut allowed = 0;
    for _ in 0..20 {
        allowed += usize::from(limits.take(&[sends(device)]).await.is_allowed());
    }

    assert_eq!(allowed, 3);
    let refused = limits.take(&[sends(device)]).await.check().unwrap_err();
    assert!(refused.retry_after > Duration::ZERO && refused.retry_after <= HOUR / 3);
    assert!(limits.take(&[sends(someone())]).await.is_allowed(), "others have their own");
}

#[tokio::test]
async fn a_socket_asks_once_for_a_batch_and_gets_no_more_than_there_is() {
    let (limits, device) = (limits(10, HOUR).await, someone());
    let ask = async || {
        Allowance::ask(limits.socket_batch(), Class::Send, device, "anybody", &limits).await
    };

    let batches = [ask().await.unwrap(), ask().await.unwrap(), ask().await.unwrap()];

    assert_eq!(batches, [4, 4, 2]);
    assert_eq!(ask().await.unwrap_err().reason(), "rate_limited");
}
