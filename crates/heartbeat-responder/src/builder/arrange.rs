//! From what was said to what is shown and run, or to what is wrong with it.

use std::collections::HashSet;
use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::answer::Statuses;

use super::{BuildError, Builder, ViewOptions};
use crate::defaults;
use crate::flag::FLAG;
use crate::format::Format;
use crate::runner::Planned;
use crate::view::{Known, Layout, Member, Scope, Service, Token, View};

/// The scope of all checks.
const ALL: usize = 0;

impl Builder {
    pub(super) fn arrange(&self) -> Result<(Vec<Planned>, Layout), BuildError> {
        let planned = self.planned()?;
        let member = |(service, (_, options, _)): (usize, &(_, super::Options, _))| Member {
            service,
            takedown: options.or(self.defaults).takedown.unwrap_or(true),
        };
        let mut scopes = vec![Scope { members: self.checks.iter().enumerate().map(member).collect() }];
        let own = self.own_views(&mut scopes)?;
        let service =
            |planned: &Planned| Service { id: planned.id.clone(), target: Arc::default(), known: Known::default() };
        let layout = Layout {
            services: planned.iter().map(service).collect(),
            scopes,
            views: self.all_views(own)?,
            flag: self.flag.as_ref().map(|(_, rule)| *rule),
            token: match self.token.as_deref() {
                Some("") => return Err(BuildError::EmptyToken),
                word => word.map(Token::new),
            },
        };
        Ok((planned, layout))
    }

    fn planned(&self) -> Result<Vec<Planned>, BuildError> {
        let mut taken = HashSet::from([FLAG]);
        let mut planned = Vec::new();
        for (name, options, check) in &self.checks {
            if name.is_empty() || name.contains(char::is_control) {
                return Err(BuildError::Name(name.clone()));
            }
            if !taken.insert(name) {
                return Err(BuildError::Taken(name.clone()));
            }
            let policy = options.or(self.defaults).policy();
            let zero = [
                ("interval", policy.interval.is_zero()),
                ("fast_interval", policy.fast_interval.is_zero()),
                ("timeout", policy.timeout.is_zero()),
                ("rise", policy.rise == 0),
                ("fall", policy.fall == 0),
            ];
            if let Some((option, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
                return Err(BuildError::Zero { check: name.clone(), option });
            }
            planned.push(Planned { id: Id::from(name.as_str()), check: Arc::clone(check), policy });
        }
        Ok(planned)
    }

    /// The views that were asked for. Each with checks of its own gets a scope.
    fn own_views(&self, scopes: &mut Vec<Scope>) -> Result<Vec<View>, BuildError> {
        let mut own: Vec<View> = Vec::new();
        for (name, options) in &self.views {
            let mut view = self.view_over_all(name, options)?;
            if let Some(other) = own.iter().find(|other| other.name == view.name || same_path(&other.path, &view.path))
            {
                let taken = if other.name == view.name { &view.name } else { &view.path };
                return Err(BuildError::Taken(taken.to_string()));
            }
            if let Some(names) = &options.checks {
                view.scope = scopes.len();
                scopes.push(self.scope_of(name, names, &scopes[ALL])?);
            }
            own.push(view);
        }
        Ok(own)
    }

    fn scope_of(&self, view: &str, names: &[String], all: &Scope) -> Result<Scope, BuildError> {
        let member = |name: &String| {
            let place = self.checks.iter().position(|(known, ..)| known == name);
            let missing = || BuildError::NoCheck { view: view.to_owned(), check: name.clone() };
            place.map(|place| all.members[place]).ok_or_else(missing)
        };
        Ok(Scope { members: names.iter().map(member).collect::<Result<_, _>>()? })
    }

    fn view_over_all(&self, name: &str, options: &ViewOptions) -> Result<View, BuildError> {
        // The name is also the end of a file's name: that of this view's own flag.
        if name.is_empty() || name.contains(|c: char| c.is_control() || c == '/') {
            return Err(BuildError::Name(name.to_owned()));
        }
        let no_format = || BuildError::NoFormat { view: name.to_owned(), format: options.format.clone() };
        Ok(View {
            name: name.into(),
            path: valid_path(&options.path)?.into(),
            scope: ALL,
            question: options.question,
            statuses: valid_statuses(options.statuses.unwrap_or(self.statuses))?,
            format: Format::named(&options.format).ok_or_else(no_format)?,
            details: options.details.unwrap_or(self.details),
        })
    }

    fn all_views(&self, own: Vec<View>) -> Result<Vec<View>, BuildError> {
        let count = own.len();
        let mut views = defaults::with_defaults(own, ALL, valid_statuses(self.statuses)?, self.details);
        if !self.prefix.is_empty() {
            let prefix = valid_path(&self.prefix)?.trim_end_matches('/');
            for view in &mut views[count..] {
                view.path = format!("{prefix}{}", view.path).into();
            }
        }
        Ok(views)
    }
}

fn same_path(one: &str, other: &str) -> bool {
    let bare = |path: &'_ str| path.strip_suffix('/').unwrap_or(path).to_owned();
    bare(one) == bare(other)
}

/// A path as it stands in a request (RFC 3986, section 3.3): what is compared with it byte for byte.
fn valid_path(path: &str) -> Result<&str, BuildError> {
    let valid = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if valid { Ok(path) } else { Err(BuildError::Path(path.to_owned())) }
}

fn valid_statuses(statuses: Statuses) -> Result<Statuses, BuildError> {
    let Statuses { fail, drain, unknown, stale } = statuses;
    match [fail, drain, unknown, stale].into_iter().find(|status| !(200..=599).contains(status)) {
        Some(status) => Err(BuildError::Status(status)),
        None => Ok(statuses),
    }
}
