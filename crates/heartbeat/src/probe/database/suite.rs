//! What every kind for databases is put to, whatever its server.

use std::time::Duration;

use heartbeat_core::outcome::{Fault, Verdict};
use tokio::task::JoinHandle;

use crate::probe::run;
use crate::probe::testing::{AMPLE, no_names, probe_in, spec};

/// Two nodes, one of them in two processes, write at once, again and again, and never fail each other.
pub(crate) async fn write_together(text: &str) {
    let often = async |node| {
        let prober = spec(text).build(&no_names().of_node(Some(node))).expect("built");
        for _ in 0..20 {
            let report = run(&*prober, AMPLE).await;
            assert_eq!(report.outcome.verdict, Verdict::Pass, "{:?}", report.outcome);
        }
    };
    tokio::join!(often("one"), often("two"), often("one"));
}

/// 200 probes: every other one passes, the others are ended, each a little later than the one before, while they connect,
/// while they log in, while they wait for an answer that never comes.
pub(crate) async fn come_and_go(quick: &str, endless: &str) {
    let [quick, endless] = [quick, endless].map(|text| spec(text).build(&no_names()).expect("built"));
    for round in 0..100 {
        let report = run(&*quick, AMPLE).await;
        assert_eq!(report.outcome.verdict, Verdict::Pass, "{:?}", report.outcome);
        let report = run(&*endless, Duration::from_micros(200) * round).await;
        assert_eq!(report.outcome.fault, Some(Fault::Timeout), "{:?}", report.outcome);
    }
}

/// So many probes that never end, until they are aborted. One whose place is still taken by somebody else comes again.
pub(crate) fn hold(count: usize, endless: &str) -> Vec<JoinHandle<()>> {
    let hold = || {
        let text = endless.to_owned();
        tokio::spawn(async move {
            loop {
                probe_in(&no_names(), &text, Duration::from_secs(600)).await;
            }
        })
    };
    (0..count).map(|_| hold()).collect()
}
