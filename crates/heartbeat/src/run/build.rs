//! What is opened for a plan: probers, channels and runners, with their secrets read. All of it or nothing.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::coordinator::Wiring;
use heartbeat_core::shard::CheckSpec;
use heartbeat_responder::view::Layout;

use super::{board, wiring};
use crate::action::Runner;
use crate::alert::Channel;
use crate::host::cores;
use crate::message::{About, Style, Texts};
use crate::plan::Plan;
use crate::probe::{Prober, World};

/// The live side of a plan.
pub struct Built {
    /// The plan.
    pub plan: Arc<Plan>,
    /// In the order of the plan's checks.
    probers: Vec<Arc<dyn Prober>>,
    /// By the alert's id.
    pub channels: BTreeMap<Id, Arc<dyn Channel>>,
    /// By the action's id.
    pub runners: BTreeMap<Id, Arc<Runner>>,
    /// What the responder shows, if there is one.
    pub layout: Option<Layout>,
    /// What the engine needs to know of the plan, until it knows.
    wired: Option<(Wiring, Vec<CheckSpec>)>,
}

impl Built {
    /// Opens everything.
    ///
    /// # Errors
    /// Everything that could not be opened, a sentence each, naming the check, action or alert.
    pub fn new(plan: Arc<Plan>, world: &World) -> Result<Self, Vec<String>> {
        let mut channels = BTreeMap::new();
        let (probers, checks, mut problems) = checks(&plan, world);
        let mut runners = BTreeMap::new();
        for action in &plan.actions {
            match Runner::build(Arc::clone(action)) {
                Ok(runner) => {
                    runners.insert(action.id.clone(), Arc::new(runner));
                }
                Err(problem) => problems.push(problem),
            }
        }
        for alert in &plan.alerts {
            match alert.spec.build() {
                Ok(channel) => {
                    channels.insert(alert.id.clone(), Arc::from(channel));
                }
                Err(problem) => problems.push(format!("alert `{}`: {problem}", alert.id)),
            }
        }
        let layout = plan.responder.as_ref().map(|responder| board::layout(&plan, responder)).transpose();
        let layout = layout.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let wired = Some((wiring::coordinator(&plan), checks));
        Ok(Self { plan, probers, channels, runners, layout, wired })
    }

    /// What the engine needs to know, once: it is put together here, beside the loop, for it takes long of many checks.
    ///
    /// # Panics
    /// If it has been taken before: an engine that is told of nothing would forget every check.
    pub fn take_wiring(&mut self) -> (Wiring, Vec<CheckSpec>) {
        self.wired.take().expect("an engine is told of a plan once")
    }

    /// What probes the check at that place of the plan.
    pub fn prober(&self, place: u32) -> &Arc<dyn Prober> {
        &self.probers[place as usize]
    }

    /// What is said of a check or group, and how. One that is no longer configured has the default wording.
    pub fn wording(&self, subject: Option<&Id>, zone: &jiff::tz::TimeZone) -> (Option<Arc<About>>, &Texts, Style) {
        let (about, texts) = subject.and_then(|id| self.plan.subject(id)).unzip();
        let texts = texts.unwrap_or_else(|| Texts::standard());
        (about, texts, Style::of(texts, zone.clone()))
    }
}

/// To open so many takes longer than to start a thread.
const WORTH_A_THREAD: NonZero<usize> = NonZero::new(1000).expect("it is not zero");

/// What probes each check, and what the engine needs to know of it; with everything that could not be opened.
fn checks(plan: &Plan, world: &World) -> (Vec<Arc<dyn Prober>>, Vec<CheckSpec>, Vec<String>) {
    let all = plan.checks.len();
    let share = cores::share(all, WORTH_A_THREAD);
    // One room for all of them: what a thread has taken for itself, others cannot use afterwards.
    let (mut probers, mut specs) = (Vec::new(), Vec::new());
    probers.resize_with(all, || None);
    specs.resize_with(all, || None);
    let places = probers.chunks_mut(share).zip(specs.chunks_mut(share));
    let parts = plan.checks.chunks(share).zip(places).enumerate();
    let problems = cores::at_once(parts, |(number, (part, (probers, specs)))| {
        let mut problems = Vec::new();
        for (check, prober) in part.iter().zip(probers) {
            match check.spec.build(world) {
                Ok(built) => *prober = Some(Arc::from(built)),
                Err(problem) => problems.push(format!("check `{}`: {problem}", check.id)),
            }
        }
        for (spec, made) in specs.iter_mut().zip(wiring::shard(number * share, part)) {
            *spec = Some(made);
        }
        problems
    });
    (probers.into_iter().flatten().collect(), specs.into_iter().flatten().collect(), problems.concat())
}
