//! The way of the outbox's writes to the store: one after the other, and what has queued meanwhile in one.

use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::delivery::Delivery;
use heartbeat_core::lane::Mark;
use heartbeat_core::ledger::Batch;
use tokio::sync::mpsc;

use super::Ledgerman;

/// What one decision writes.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) batch: Batch,
    /// The lane that waits until this is durable.
    pub(super) marks: Option<Id>,
    /// New deliveries, which nobody may try before they are committed.
    pub(super) fresh: Vec<Delivery>,
}

/// A transaction has ended.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) mark: Mark,
    pub(super) entries: Vec<Entry>,
}

/// Commits what comes in until nobody can send any more.
pub(super) async fn run(
    ledgerman: Arc<dyn Ledgerman>,
    mut entries: mpsc::UnboundedReceiver<Entry>,
    committed: mpsc::UnboundedSender<Committed>,
) {
    while let Some(first) = entries.recv().await {
        let mut group = vec![first];
        while let Ok(next) = entries.try_recv() {
            group.push(next);
        }
        let mut batch = Batch::default();
        for entry in &group {
            batch.append(entry.batch.clone());
        }
        let mark = ledgerman.commit(batch).await;
        if committed.send(Committed { mark, entries: group }).is_err() {
            return;
        }
    }
}
