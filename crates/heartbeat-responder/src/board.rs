//! What is known, and the answers that are ready for whoever asks.
//!
//! Those who know write: a service has another standing, the flag another word. Those who ask read: an answer that was
//! rendered before costs a look at the path and at a pointer. An answer is rendered by the first who asks for it after a
//! change, outside of every lock, and not at all if nobody does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use heartbeat_core::answer::{Answer, Counts, Question, Situation, answer};

use crate::ask::{Asked, Method};
use crate::flag::{self, Drain};
use crate::format::{FORMATS, Format, Page};
use crate::pulse::Pulse;
use crate::reply::Reply;
use crate::view::{Details, Known, Layout, Service, View};

mod word;

pub use word::Word;

/// The state of everything that can be asked. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Board {
    panels: ArcSwap<Panels>,
    /// What takes this server out of service; outlives a new layout.
    drains: Mutex<Drains>,
    /// Whoever watches the services.
    watcher: Pulse,
    /// Whoever looks at the flags, if there are any.
    lookout: Pulse,
}

/// A layout at work.
#[derive(Debug)]
struct Panels {
    layout: Fixed,
    state: Mutex<State>,
    panels: Vec<Panel>,
    /// Paths without their last slash.
    paths: HashMap<Box<str>, usize>,
}

/// What of a layout never changes.
#[derive(Debug)]
struct Fixed {
    scopes: Vec<crate::view::Scope>,
    views: Vec<View>,
    flag: Option<crate::view::FlagRule>,
    token: Option<crate::view::Token>,
    /// For every service the scopes in which it is, and whether it decides there.
    memberships: Vec<Box<[(u32, bool)]>>,
    places: HashMap<heartbeat_core::Id, usize>,
}

#[derive(Debug)]
struct State {
    /// Copied only if somebody renders while it changes.
    services: Arc<Vec<Service>>,
    /// For every scope.
    counts: Vec<Counts>,
}

/// The rendered answers of one view.
#[derive(Debug)]
struct Panel {
    /// Raised at every change. An answer that was rendered at another one is out of date.
    version: AtomicU64,
    /// By [`Panel::cell`].
    cells: Vec<ArcSwapOption<Rendered>>,
}

#[derive(Debug)]
struct Rendered {
    version: u64,
    reply: Arc<Reply>,
}

#[derive(Debug, Default)]
struct Drains {
    /// The word of the flag for all views.
    flag: Option<flag::State>,
    /// The words of the flags of single views.
    views: HashMap<Arc<str>, Drain>,
    /// The program is about to end.
    ending: Option<Drain>,
}

impl Board {
    /// A board that shows this. Nobody watches its services before the first [`beat`](Self::beat).
    pub fn new(layout: Layout) -> Self {
        Self {
            panels: ArcSwap::from_pointee(Panels::new(layout)),
            drains: Mutex::default(),
            watcher: Pulse::default(),
            lookout: Pulse::default(),
        }
    }

    /// Shows something else from now on; drains stay in force.
    ///
    /// Whoever calls this must be the one who calls [`know`](Self::know): what becomes known meanwhile is lost otherwise.
    pub fn replace(&self, layout: Layout) {
        self.panels.store(Arc::new(Panels::new(layout)));
    }

    /// Says that the services are being watched; to be called at least every second. Without it all views fail.
    pub fn beat(&self) {
        self.watcher.beat();
    }

    /// Says that the flags are being looked at; to be called at least every second where there are any.
    pub fn looked(&self) {
        self.lookout.beat();
    }

    /// What is known of a service now. Of one that is not shown, nothing is kept.
    pub fn know(&self, id: &str, known: Known) {
        let panels = self.panels.load();
        if let Some(place) = panels.layout.places.get(id) {
            panels.know(*place, known);
        }
    }

    /// What the flag says: the one for all views, or that of one view.
    pub fn flag(&self, view: Option<&str>, state: flag::State) {
        {
            let mut drains = lock(&self.drains);
            match (view, state) {
                (None, state) => drains.flag = Some(state),
                (Some(view), flag::State::Up) => {
                    drains.views.remove(view);
                }
                (Some(view), flag::State::Down(drain)) => {
                    drains.views.insert(view.into(), drain);
                }
            }
        }
        self.touch();
    }

    /// The program is about to end: no view is ready any more, but the process lives.
    pub fn end(&self, why: &str) {
        lock(&self.drains).ending = Some(Drain::because(why));
        self.touch();
    }

    /// What keeps all views from being ready.
    pub fn drain(&self) -> Option<Drain> {
        self.drain_of(&self.panels.load(), None)
    }

    /// The names of the views that are not ready because of a drain, whatever else they would say.
    pub fn drained(&self) -> Vec<Arc<str>> {
        let panels = self.panels.load();
        let views = panels.layout.views.iter().enumerate();
        let ready = views.filter(|(_, view)| view.question == Question::Ready);
        ready
            .filter(|(place, _)| self.drain_of(&panels, Some(*place)).is_some())
            .map(|(_, view)| view.name.clone())
            .collect()
    }

    /// The answer of a view by its name, with its cause; `None` if there is no such view.
    pub fn answer(&self, view: &str) -> Option<(Answer, Option<Arc<str>>)> {
        let panels = self.panels.load();
        let place = panels.layout.views.iter().position(|candidate| &*candidate.name == view)?;
        let (situation, services) = self.situation(&panels, place);
        let page = self.page(&panels, place, &situation, &services, true);
        Some((page.answer, page.why()))
    }

    /// The names of all views.
    pub fn views(&self) -> Vec<Arc<str>> {
        self.panels.load().layout.views.iter().map(|view| view.name.clone()).collect()
    }

    /// Whether a view is at this path, with or without its last slash.
    pub fn handles(&self, path: &str) -> bool {
        self.panels.load().at(path).is_some()
    }

    /// Answers a request.
    pub fn ask(&self, asked: &Asked<'_>) -> Arc<Reply> {
        let panels = self.panels.load();
        let Some(place) = panels.at(asked.path) else { return crate::ask::not_found() };
        if asked.method == Method::Other {
            return crate::ask::method_not_allowed();
        }
        let view = &panels.layout.views[place];
        let Some(format) = asked.format(view.format) else { return crate::ask::unknown_format() };
        let detailed = match view.details {
            Details::Public => true,
            Details::Local if asked.local => true,
            Details::Local | Details::Token => asked
                .authorization
                .is_some_and(|word| panels.layout.token.as_ref().is_some_and(|ours| ours.opens(word))),
        };
        let watched = self.is_watched(&panels);
        let cell = &panels.panels[place].cells[Panel::cell(format, detailed, watched)];
        let version = panels.panels[place].version.load(Ordering::Acquire);
        if let Some(rendered) = &*cell.load()
            && rendered.version == version
        {
            return rendered.reply.clone();
        }
        let (situation, services) = self.situation(&panels, place);
        let reply = Arc::new(self.page(&panels, place, &situation, &services, detailed).reply(format));
        // Whether somebody watches was looked at twice: what is kept is only what was asked for.
        if situation.watched == watched {
            cell.store(Some(Arc::new(Rendered { version, reply: reply.clone() })));
        }
        reply
    }

    fn is_watched(&self, panels: &Panels) -> bool {
        self.watcher.is_alive() && (panels.layout.flag.is_none() || self.lookout.is_alive())
    }

    fn situation(&self, panels: &Panels, view: usize) -> (Situation, Arc<Vec<Service>>) {
        let drained = self.drain_of(panels, Some(view)).is_some();
        let state = lock(&panels.state);
        let deciding = state.counts[panels.layout.views[view].scope];
        (Situation { watched: self.is_watched(panels), drained, deciding }, state.services.clone())
    }

    /// What drains a view, or all of them. A flag that is only shown drains nothing.
    fn drain_of(&self, panels: &Panels, view: Option<usize>) -> Option<Drain> {
        let drains = lock(&self.drains);
        let counts = panels.layout.flag.is_some_and(|flag| flag.takedown);
        let flag = match &drains.flag {
            Some(flag::State::Down(drain)) if counts => Some(drain),
            _ => None,
        };
        let own = || drains.views.get(&panels.layout.views[view?].name).filter(|_| counts);
        drains.ending.as_ref().or(flag).or_else(own).cloned()
    }

    fn page<'a>(
        &self,
        panels: &'a Panels,
        view: usize,
        situation: &Situation,
        services: &'a [Service],
        detailed: bool,
    ) -> Page<'a> {
        let view_plan = &panels.layout.views[view];
        let answer = answer(view_plan.question, situation);
        let shown = |member: &crate::view::Member| (&services[member.service], member.takedown);
        Page {
            view: view_plan,
            answer,
            status: view_plan.statuses.of(answer),
            degraded: view_plan.question == Question::Ready && situation.deciding.any_degraded(),
            flag: self.shown_flag(panels, view),
            services: panels.layout.scopes[view_plan.scope].members.iter().map(shown).collect(),
            detailed,
        }
    }

    /// The flag as a view shows it: by whatever drains that view, else by what the file says.
    fn shown_flag(&self, panels: &Panels, view: usize) -> Option<flag::State> {
        let drain = self.drain_of(panels, Some(view)).map(flag::State::Down);
        drain.or_else(|| panels.layout.flag.and(lock(&self.drains).flag.clone().or(Some(flag::State::Up))))
    }

    /// Every answer is to be rendered anew.
    fn touch(&self) {
        for panel in &self.panels.load().panels {
            panel.version.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Panels {
    fn new(layout: Layout) -> Self {
        let Layout { services, scopes, views, flag, token } = layout;
        let mut memberships = vec![Vec::new(); services.len()];
        let mut counts = vec![Counts::default(); scopes.len()];
        for (place, scope) in scopes.iter().enumerate() {
            for member in &scope.members {
                memberships[member.service].push((place as u32, member.takedown));
                if member.takedown {
                    counts[place].add(services[member.service].known.standing);
                }
            }
        }
        let mut paths = HashMap::new();
        for (place, view) in views.iter().enumerate() {
            let path = view.path.strip_suffix('/').unwrap_or(&view.path);
            paths.entry(path.into()).or_insert(place);
        }
        let places = services.iter().enumerate().map(|(place, service)| (service.id.clone(), place)).collect();
        let memberships = memberships.into_iter().map(Vec::into_boxed_slice).collect();
        Self {
            panels: views.iter().map(|_| Panel::new()).collect(),
            paths,
            state: Mutex::new(State { services: Arc::new(services), counts }),
            layout: Fixed { scopes, views, flag, token, memberships, places },
        }
    }

    /// The place of the view at a path.
    fn at(&self, path: &str) -> Option<usize> {
        self.paths.get(path.strip_suffix('/').unwrap_or(path)).copied()
    }

    fn know(&self, place: usize, known: Known) {
        let memberships = &self.layout.memberships[place];
        {
            let mut state = lock(&self.state);
            let before = &state.services[place].known;
            if *before == known {
                return;
            }
            let (old, new) = (before.standing, known.standing);
            for (scope, _) in memberships.iter().filter(|(_, takedown)| *takedown) {
                state.counts[*scope as usize].remove(old);
                state.counts[*scope as usize].add(new);
            }
            Arc::make_mut(&mut state.services)[place].known = known;
        }
        for (panel, view) in self.panels.iter().zip(&self.layout.views) {
            if memberships.iter().any(|(scope, _)| *scope as usize == view.scope) {
                panel.version.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

impl Panel {
    fn new() -> Self {
        let cells = (0..FORMATS.len() * 4).map(|_| ArcSwapOption::empty()).collect();
        Self { version: AtomicU64::new(0), cells }
    }

    fn cell(format: &Format, detailed: bool, watched: bool) -> usize {
        format.index() * 4 + usize::from(detailed) * 2 + usize::from(watched)
    }
}

impl Page<'_> {
    fn reply(&self, format: &'static Format) -> Reply {
        Reply::of_view(&self.view.name, self.answer, self.status, format.content_type, format.render(self))
    }
}

/// No code that holds a lock here can panic half-way through a change, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
