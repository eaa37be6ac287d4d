//! Acknowledgements, a few at a time.

use std::time::Duration;

use sotto_ids::{EnvelopeId, limits::MAX_ACK_IDS};
use sotto_proto::socket::{Ack, ClientFrame, client_frame::Body};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// Collects ids until enough are there or the first has waited long enough, and
/// sends them on as frames.
pub(super) async fn collect(
    mut ids: mpsc::Receiver<EnvelopeId>,
    frames: mpsc::Sender<ClientFrame>,
    delay: Duration,
    batch: usize,
) {
    let batch = batch.clamp(1, MAX_ACK_IDS);
    while let Some(first) = ids.recv().await {
        let due = Instant::now() + delay;
        let mut collected = vec![first];
        while collected.len() < batch {
            match timeout_at(due, ids.recv()).await {
                Ok(Some(id)) => collected.push(id),
                Ok(None) | Err(_) => break,
            }
        }
        if frames.send(frame(&collected)).await.is_err() {
            return;
        }
    }
}

fn frame(ids: &[EnvelopeId]) -> ClientFrame {
    let envelope_ids = ids.iter().map(|id| id.as_bytes().to_vec().into()).collect();
    ClientFrame { id: 0, body: Some(Body::Ack(Ack { envelope_ids })) }
}

#[cfg(test)]
mod tests {
    use sotto_ids::EnvelopeId;
    use uuid::Uuid;

    use super::*;

    const DELAY: Duration = Duration::from_millis(50);

    fn id(number: u8) -> EnvelopeId {
        EnvelopeId::from_stored(Uuid::from_bytes([number; 16]))
    }

    async fn acks(frames: &mut mpsc::Receiver<ClientFrame>) -> usize {
        match frames.recv().await.unwrap().body {
            Some(Body::Ack(ack)) => ack.envelope_ids.len(),
            other => panic!("no ack: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_that_come_together_go_together() {
        let (ids, collected) = mpsc::channel(64);
        let (frames, mut sent) = mpsc::channel(64);
        let collecting = collect(collected, frames, DELAY, 4);
        let sending = async {
            let start = Instant::now();
            for number in 1..=5 {
                ids.send(id(number)).await.unwrap();
            }

            assert_eq!(acks(&mut sent).await, 4, "a full batch goes at once");
            assert_eq!(start.elapsed(), Duration::ZERO);
            assert_eq!(acks(&mut sent).await, 1, "the rest after the delay");
            assert_eq!(start.elapsed(), DELAY);
            drop(ids);
        };
        tokio::join!(collecting, sending);
    }
}
