//! The first seconds of `heartbeat run` on a terminal: what is watched, who is told, the first results, what to type next.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::outcome::Verdict;
use tokio::sync::mpsc;

use super::screen::{Ink, Screen, counted};
use crate::plan::Plan;
use crate::run::driver::News;

/// More first results than this are only counted.
const SHOWN: usize = 20;
/// After this the first results are over, whatever is still missing.
const FIRST: Duration = Duration::from_millis(2500);

/// What is watched, who is told, where the state is kept, where load balancers are answered.
pub fn print(screen: Screen, config: &Path, plan: &Plan, location: &str, doors: &[&str]) {
    screen.data(screen.paint(Ink::Strong, format_args!("heartbeat {}", env!("CARGO_PKG_VERSION"))));
    screen.data(format_args!("  file    {}", config.display()));
    screen.data(format_args!("  checks  {}", names(plan.checks.iter().map(|check| check.id.as_str()))));
    if !plan.actions.is_empty() {
        screen.data(format_args!("  actions {}", names(plan.actions.iter().map(|action| action.id.as_str()))));
    }
    let alerts = plan.alerts.iter().map(|alert| format!("{} ({})", alert.id, alert.spec.target()));
    screen.data(format_args!("  alerts  {}", names(alerts)));
    screen.data(format_args!("  store   {location}"));
    if !doors.is_empty() {
        screen.data(format_args!("  answers {}", doors.join(", ")));
    }
}

/// A few names and how many more there are.
fn names(names: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    match names.len() {
        0 => "none: nobody is told".to_owned(),
        all if all <= 6 => names.join(", "),
        all => format!("{} and {} more", names[..5].join(", "), all - 5),
    }
}

/// Prints each check's first result, then what to type next.
pub async fn first_results(screen: Screen, plan: Arc<Plan>, mut news: mpsc::UnboundedReceiver<News>) {
    let mut waiting: BTreeSet<_> = plan.checks.iter().map(|check| check.id.clone()).collect();
    let mut shown = 0;
    let mut bad = 0;
    let first = async {
        while !waiting.is_empty() {
            let Some(news) = news.recv().await else { return };
            let News::Probed(id, outcome) = news else { continue };
            if !waiting.remove(&id) {
                continue;
            }
            bad += usize::from(matches!(outcome.verdict, Verdict::Fail | Verdict::Local));
            if shown < SHOWN {
                shown += 1;
                let verdict = screen.paint(outcome.verdict.into(), format_args!("{:<5}", outcome.verdict.as_str()));
                screen.data(format_args!("  {verdict} {id}  {}", outcome.reason));
            }
        }
    };
    let all_in = tokio::time::timeout(FIRST, first).await.is_ok();
    let probed = plan.checks.len() - waiting.len();
    let so_far = if all_in { "" } else { " so far" };
    screen.data(format_args!("{} probed{so_far}, {bad} not as they should be", counted(probed, "check")));
    screen.next("heartbeat status, in another terminal; Ctrl-C ends this one");
    // The others go on unheard: the driver does not wait for us.
    news.close();
}
