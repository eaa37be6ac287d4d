//! Sending the texts of a file: the receiver is away for the first half.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use sotto_client::{Direction, Event, EventStream, Me, Message, PeerName, Tuning};
use sotto_testkit::{
    cluster::APPS,
    search::{self, Needles, Overheard},
};
use tokio::sync::Semaphore;

use super::{
    PATIENCE, Stage,
    person::Person,
    proof::{self, Searches},
    server_view::ServerView,
};
use crate::{screen::Screen, steps};

/// A message may take this long to be accepted or to arrive before the run is given up.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// How many of the texts are searched for afterwards in all that the server has.
const SEARCHED_FOR: usize = 100;

/// What a half of the run took.
#[derive(Debug)]
struct Half {
    name: &'static str,
    sent: usize,
    took: Duration,
    /// Microseconds.
    delivery: Histogram<u64>,
}

/// Sends the texts from a user of the one app to a user of the other. `false` unless
/// each arrived once, in order, byte for byte, and the server could read none.
pub(crate) async fn play(
    texts: &[String],
    in_flight: usize,
    stage: Stage<'_>,
    screen: &Screen,
) -> anyhow::Result<bool> {
    let cluster = stage.cluster;
    let [socialink, vignette] = APPS;
    // Nothing that happens may be missed by the one who counts it.
    let tuning = Tuning { event_buffer: 2 * texts.len() + 1_024, ..Tuning::default() };
    let overheard = Overheard::start(cluster.redis_url()).await?;
    let mut alice = Person::new("alice", socialink, 0, tuning.clone(), stage).await?;
    let mut bob = Person::new("bob", vignette, 1, tuning, stage).await?;
    alice.register().await?;
    let him = bob.register().await?;
    alice.client.add_contact(&"bob".parse::<PeerName>()?).await?;
    alice.client.go_online().await?;
    alice.client.wait_connected(PATIENCE).await.context("the sender cannot connect")?;
    let server = ServerView::open(cluster).await?;

    let (queued, live) = texts.split_at(texts.len() / 2);
    screen
        .heading(format_args!("{} texts, alice of {socialink} to bob of {vignette}", texts.len()));
    let sending = send_to_someone_away(queued, &him, &mut alice, screen).await?;
    server.wait_until_waiting(i64::try_from(queued.len())?).await?;
    screen.fine(format_args!("{} rows wait in messages.queue; bob was never online", queued.len()));
    let (first, mut arrivals) = collect_after_connect(queued.len(), &mut bob, screen).await?;
    let second = send_live(live, in_flight, &him, &alice, &mut arrivals, screen).await?;
    bob.client.wait_drained(PATIENCE).await?;
    server.wait_until_waiting(0).await?;
    let needles = needles(texts);
    let in_redis = search::redis(cluster.redis_url(), &needles).await?;
    screen.fine("every row is gone from messages.queue");

    let as_sent = compare(texts, &history(&bob).await?, screen);
    report(queued.len(), sending, &[first, second], in_flight, screen);

    screen.heading("What the server could tell if it were asked");
    screen.line(format_args!("  Searched for {SEARCHED_FOR} of the texts at most:"));
    let searches = Searches { overheard: &overheard, in_redis };
    let nothing = proof::nothing_is_found(&needles, him.account, searches, cluster, screen).await?;
    alice.client.close().await;
    bob.client.close().await;
    Ok(as_sent && nothing)
}

/// Sends all, and waits until the server has accepted each. Returns how long it took.
async fn send_to_someone_away(
    texts: &[String],
    to: &Me,
    alice: &mut Person,
    screen: &Screen,
) -> anyhow::Result<Duration> {
    let bar = steps::bar("sent, the receiver is away", texts.len() as u64, screen);
    let begun = Instant::now();
    let write = async {
        for text in texts {
            alice.client.send_text(to.account, text).await?;
        }
        anyhow::Ok(())
    };
    let (written, accepted) =
        tokio::join!(write, wait_until_accepted(texts.len(), &mut alice.events, &bar));
    written?;
    accepted?;
    let took = begun.elapsed();
    bar.finish_and_clear();
    screen.fine(format_args!("{} texts were accepted in {:.1} s", texts.len(), took.as_secs_f64()));
    Ok(took)
}

async fn wait_until_accepted(
    count: usize,
    events: &mut EventStream,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    for _ in 0..count {
        let event = events
            .wait_for(STALLED_AFTER, |event| {
                matches!(event, Event::MessageAccepted { .. } | Event::MessageFailed { .. })
            })
            .await
            .context("the server stopped accepting")?;
        if let Event::MessageFailed { reason, .. } = event {
            bail!("a message was refused: {reason}");
        }
        bar.inc(1);
    }
    Ok(())
}

/// Connects the receiver, and measures from then until each message is shown.
async fn collect_after_connect(
    count: usize,
    bob: &mut Person,
    screen: &Screen,
) -> anyhow::Result<(Half, EventStream)> {
    let bar = steps::bar("arrived from the queue", count as u64, screen);
    let mut delivery = histogram()?;
    let mut events = bob.client.events();
    let connect = Instant::now();
    bob.client.go_online().await?;
    for _ in 0..count {
        next_arrival(&mut events).await?;
        delivery.record(micros(connect.elapsed()))?;
        bar.inc(1);
    }
    let took = connect.elapsed();
    bar.finish_and_clear();
    screen.fine(format_args!("all {count} arrived {:.1} s after connecting", took.as_secs_f64()));
    Ok((Half { name: "queued, from connecting", sent: count, took, delivery }, events))
}

/// Sends the rest to someone who is there, `in_flight` at a time, and measures each
/// from the call of `send_text` until it is shown.
async fn send_live(
    texts: &[String],
    in_flight: usize,
    to: &Me,
    alice: &Person,
    arrivals: &mut EventStream,
    screen: &Screen,
) -> anyhow::Result<Half> {
    let bar = steps::bar("arrived live", texts.len() as u64, screen);
    let mut delivery = histogram()?;
    let window = Arc::new(Semaphore::new(in_flight));
    let (began, mut begun) = tokio::sync::mpsc::channel(in_flight);
    let start = Instant::now();

    let write = async {
        for text in texts {
            window.acquire().await?.forget();
            began.send(Instant::now()).await?;
            alice.client.send_text(to.account, text).await?;
        }
        anyhow::Ok(())
    };
    let read = async {
        // They arrive in the order sent, or the comparison of the whole finds it out.
        for _ in texts {
            next_arrival(arrivals).await?;
            let begun = begun.recv().await.context("a message arrived that nobody sent")?;
            delivery.record(micros(begun.elapsed()))?;
            window.add_permits(1);
            bar.inc(1);
        }
        anyhow::Ok(())
    };
    tokio::try_join!(write, read)?;

    let took = start.elapsed();
    bar.finish_and_clear();
    screen.fine(format_args!(
        "{} more were sent and arrived in {:.1} s",
        texts.len(),
        took.as_secs_f64()
    ));
    Ok(Half { name: "live, from send to shown", sent: texts.len(), took, delivery })
}

async fn next_arrival(events: &mut EventStream) -> anyhow::Result<()> {
    events
        .wait_for(STALLED_AFTER, |event| matches!(event, Event::Message(_)))
        .await
        .context("no message arrives any more")?;
    Ok(())
}

/// All that the receiver has, in the order in which it was shown, read from their store.
async fn history(bob: &Person) -> anyhow::Result<Vec<Message>> {
    const PAGE: usize = 500;
    let mut all: Vec<Message> = Vec::new();
    loop {
        let after = all.last().map_or(0, |message| message.position);
        let page = bob.client.messages_after(after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Whether what was shown is what was sent: each once, in order, byte for byte.
fn compare(texts: &[String], shown: &[Message], screen: &Screen) -> bool {
    let shown: Vec<Option<&str>> = shown
        .iter()
        .filter(|message| message.direction == Direction::Received)
        .map(|message| message.body.text())
        .collect();
    for (number, (sent, shown)) in (1..).zip(texts.iter().zip(&shown)) {
        if *shown != Some(sent) {
            screen.wrong(format_args!("message {number} is not the one that was sent as {number}"));
            return false;
        }
    }
    if shown.len() != texts.len() {
        screen.wrong(format_args!("{} were sent, and {} shown", texts.len(), shown.len()));
        return false;
    }
    screen.fine(format_args!("{} texts: each once, in order, byte for byte", texts.len()));
    true
}

fn report(queued: usize, sending: Duration, halves: &[Half], in_flight: usize, screen: &Screen) {
    screen.heading("Figures (this machine, both clients and all servers on it, unoptimised build)");
    screen.line(format_args!(
        "  accepted while the receiver was away: {queued} in {:.1} s, {:.0} a second",
        sending.as_secs_f64(),
        per_second(queued, sending)
    ));
    screen.line(format_args!(
        "  {:<28}{:>8}{:>12}{:>12}{:>12}{:>12}",
        "delivery", "count", "a second", "p50", "p99", "max"
    ));
    for Half { name, sent, took, delivery } in halves {
        screen.line(format_args!(
            "  {name:<28}{sent:>8}{:>12.0}{:>12}{:>12}{:>12}",
            per_second(*sent, *took),
            millis(delivery.value_at_quantile(0.5)),
            millis(delivery.value_at_quantile(0.99)),
            millis(delivery.max()),
        ));
    }
    screen.line(format_args!("  the live half had {in_flight} messages under way at a time"));
}

/// Some of the longest texts; a short one could turn up by chance.
fn needles(texts: &[String]) -> Needles {
    let mut longest: Vec<(usize, &String)> = (1..).zip(texts).collect();
    longest.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
    Needles::new(
        longest
            .into_iter()
            .take(SEARCHED_FOR)
            .filter(|(_, text)| text.len() >= 16)
            .map(|(number, text)| (format!("text {number}"), text)),
    )
}

/// From a microsecond to ten minutes, to three digits.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).clamp(1, 600_000_000)
}

#[expect(clippy::cast_precision_loss, reason = "shown to one digit")]
fn millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1_000.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of messages are small")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
