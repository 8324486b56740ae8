//! The committer: tells the outbox of decisions, in their order, when the store has taken them.
//!
//! It stands between the driver, which must not wait for a disk, and the outbox, which must not send before the disk has
//! it. The writer takes a batch over when it is handed in; only the waiting happens here.

use std::pin::Pin;

use heartbeat_core::delivery::Delivery;
use heartbeat_core::ledger::Batch;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::outbox::Outbox;
use crate::store::writer::{Durability, Writer};

/// What is handed in.
enum Entry {
    /// The store's answer to a decision, and the deliveries that wait for it.
    Decision(Pin<Box<dyn Future<Output = Durability> + Send>>, Vec<Delivery>),
    /// Somebody who wants to know when all before this has been passed on.
    Barrier(oneshot::Sender<()>),
}

/// The driver's end. When it is dropped, the committer ends after all that was handed in.
#[derive(Debug)]
pub struct Committer {
    entries: mpsc::UnboundedSender<Entry>,
    writer: Writer,
}

impl Committer {
    /// Starts a committer. The task ends when its other end is gone and the outbox has heard of everything.
    pub fn start(writer: Writer, outbox: Outbox) -> (Self, JoinHandle<()>) {
        let (entries, inbox) = mpsc::unbounded_channel();
        (Self { entries, writer }, tokio::spawn(pass_on(inbox, outbox)))
    }

    /// Takes a batch over. One that nothing hangs on, results and counters, need not hurry.
    pub fn commit(&self, batch: Batch) {
        if batch.is_urgent() {
            let deliveries = batch.deliveries.clone();
            let verdict = Box::pin(self.writer.commit(batch));
            // The task lives as long as we do.
            let _ = self.entries.send(Entry::Decision(verdict, deliveries));
        } else {
            self.writer.post(batch);
        }
    }

    /// Resolves when the outbox has heard of everything that was handed in so far.
    pub fn passed_on(&self) -> impl Future<Output = ()> + use<> {
        let (reached, barrier) = oneshot::channel();
        let _ = self.entries.send(Entry::Barrier(reached));
        async move {
            // A committer that has ended has passed everything on.
            let _ = barrier.await;
        }
    }
}

async fn pass_on(mut entries: mpsc::UnboundedReceiver<Entry>, outbox: Outbox) {
    while let Some(entry) = entries.recv().await {
        let (verdict, mut deliveries) = match entry {
            Entry::Decision(verdict, deliveries) => (verdict, deliveries),
            Entry::Barrier(reached) => {
                let _ = reached.send(());
                continue;
            }
        };
        if let Durability::Volatile(reason) = verdict.await {
            for delivery in &mut deliveries {
                delivery.durable = false;
            }
            tracing::warn!("a decision is not durable: {reason}");
        }
        if !deliveries.is_empty() {
            outbox.committed(deliveries);
        }
    }
}
