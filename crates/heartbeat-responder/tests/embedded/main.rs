//! The library as an application uses it.

mod building;
mod running;
mod serving;
mod tree;

use std::sync::mpsc;
use std::time::Duration;

use heartbeat_responder::{Answer, Builder, Health};

/// Longer than anything here takes, unless it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The answer of the view `status`.
fn answer(health: &Health) -> Answer {
    health.answer("status").expect("the default view").0
}

/// Why it is not ok.
fn why(health: &Health) -> String {
    health.answer("status").expect("the default view").1.as_deref().unwrap_or_default().to_owned()
}

/// Waits for a condition, by the clock of Tokio.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited in vain: {what}");
}

/// All that an observer was told. To be called when the application's health is dropped: it ends with that.
async fn all<T>(told: mpsc::Receiver<T>) -> Vec<T> {
    // The runner goes when the runtime has its turn.
    tokio::task::yield_now().await;
    let mut all = Vec::new();
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(told) => all.push(told),
            Err(mpsc::RecvTimeoutError::Disconnected) => return all,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the observer is still there"),
        }
    }
}

fn build(builder: Builder) -> Health {
    builder.build().expect("it can be built")
}
