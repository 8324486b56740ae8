//! The entries of `HEARTBEAT`: the flag, the database, the cache, and classes of the project's own.

use super::python::{Dict, Expr};
use super::settings::{Settings, Unmapped};
use super::skeleton::{Skeleton, skeleton};
use super::{cache, database};
use crate::config::Span;
use crate::config::forerunners::build::{Ids, Map};
use crate::config::problem::did_you_mean;

/// The classes that the app itself had.
const FLAG: &str = "heartbeat.heartbeats.Flag";
const DATABASE: &str = "heartbeat.heartbeats.Db";
const CACHE: &str = "heartbeat.heartbeats.Cache";

/// What a check did when it failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Actions {
    /// The server was taken out of service.
    pub(super) takedown: bool,
    /// Where it is said that the administrators were told, if they were.
    pub(super) mail: Option<Span>,
}

/// What is done where nobody can know what was.
const CAUTIOUS: Actions = Actions { takedown: true, mail: None };

/// A check that is complete but for its alerts.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) at: Span,
    pub(super) map: Map,
    pub(super) actions: Actions,
    pub(super) remarks: Vec<String>,
}

/// The flag.
pub(super) struct Flag {
    pub(super) at: Span,
    pub(super) file: crate::config::Node,
    pub(super) actions: Actions,
}

/// What `HEARTBEAT` says.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) flag: Option<Flag>,
    pub(super) checks: Vec<Draft>,
    ids: Ids,
}

impl Entries {
    pub(super) fn read(heartbeat: &Dict, settings: &mut Settings<'_>) -> Self {
        let mut entries = Self::default();
        for (index, (key, value)) in heartbeat.entries.iter().enumerate() {
            let Some(name) = key.as_plain() else {
                let unmapped = Unmapped::new(key.at, "its name is no literal");
                entries.unmapped("unnamed", key, value.as_dict(), CAUTIOUS, unmapped, settings);
                continue;
            };
            let mut later = heartbeat.entries[index + 1..].iter();
            if let Some((again, _)) = later.find(|(later, _)| later.as_plain() == Some(name)) {
                let message = format!("`{name}` stands here a second time: this one counts");
                settings.warn(again.at, message, "give one of them another name if both are meant");
                continue;
            }
            entries.entry(name, key, value, settings);
        }
        entries
    }

    fn entry(&mut self, name: &str, key: &Expr, value: &Expr, settings: &mut Settings<'_>) {
        let Some(dict) = value.as_dict() else {
            let why = format!("`{name}` was {}", value.describe());
            return self.unmapped(name, key, None, CAUTIOUS, Unmapped::new(value.at, why), settings);
        };
        let actions = actions(name, dict, settings);
        let class = dict.get("class").map(|(_, class)| class);
        let class_at = class.map_or(key.at, |class| class.at);
        let mapped = match class.and_then(Expr::as_plain) {
            Some(FLAG) => match self.flag(key, dict, actions, settings) {
                Ok(()) => return,
                Err(unmapped) => Err(unmapped),
            },
            Some(DATABASE) => {
                settings.tell_unknown(dict, &["class", "actions"], &format!("the check `{name}`"));
                database::check(class_at, settings).map(|map| vec![map])
            }
            Some(CACHE) => {
                settings.tell_unknown(dict, &["class", "actions"], &format!("the check `{name}`"));
                cache::checks(class_at, settings)
            }
            Some(class) => {
                let mut why = format!("it was `{class}`");
                if let Some(help) = did_you_mean(class, [FLAG, DATABASE, CACHE]) {
                    why = format!("{why} ({help})");
                }
                Err(Unmapped::new(class_at, why))
            }
            None => {
                let found = class.map_or_else(|| "no class".to_owned(), Expr::describe);
                Err(Unmapped::new(class_at, format!("`class` was {found}")))
            }
        };
        match mapped {
            Ok(maps) => {
                for map in maps {
                    self.draft(name, key, map, actions, Vec::new());
                }
            }
            Err(unmapped) => self.unmapped(name, key, Some(dict), actions, unmapped, settings),
        }
    }

    fn draft(&mut self, name: &str, key: &Expr, map: Map, actions: Actions, remarks: Vec<String>) {
        self.checks.push(Draft { id: self.ids.unused(name), at: key.at, map, actions, remarks });
    }

    fn unmapped(
        &mut self,
        name: &str,
        key: &Expr,
        dict: Option<&Dict>,
        actions: Actions,
        Unmapped { at, why }: Unmapped,
        settings: &mut Settings<'_>,
    ) {
        settings.warn(
            at,
            format!("the check `{name}` fails until somebody writes it anew: {why}"),
            "see the converted file",
        );
        let Skeleton { map, remarks } = skeleton(settings, key.at, &why, dict);
        self.draft(name, key, map, actions, remarks);
    }

    fn flag(&mut self, key: &Expr, dict: &Dict, actions: Actions, settings: &mut Settings<'_>) -> Result<(), Unmapped> {
        let unmapped = |why: &str| Err(Unmapped::new(key.at, why));
        if self.flag.is_some() {
            return unmapped("it was a second flag");
        }
        let Some((_, filename)) = dict.get("filename") else { return unmapped("it was a flag without `filename`") };
        settings.tell_unknown(dict, &["class", "actions", "filename"], "the flag");
        let file = settings.text(filename, "HEARTBEAT_FLAG");
        settings.tell_relative(&file, filename.at);
        let file = super::native(&file, filename.at);
        self.flag = Some(Flag { at: key.at, file, actions });
        Ok(())
    }
}

/// The actions of a check. What cannot be known takes the server down.
fn actions(name: &str, dict: &Dict, settings: &mut Settings<'_>) -> Actions {
    let Some((_, value)) = dict.get("actions") else { return Actions::default() };
    let Some(actions) = value.as_dict() else {
        let message = format!("expected a dictionary of actions, found {}: taken for a takedown", value.describe());
        settings.warn(value.at, message, "correct `takedown` and `alerts` in the converted file");
        return CAUTIOUS;
    };
    settings.tell_unknown(actions, &["takedown", "mail_admins"], &format!("the actions of `{name}`"));
    let takedown = actions.get("takedown").is_some_and(|(_, value)| settings.switch(value, true));
    let mail = actions.get("mail_admins").filter(|(_, value)| settings.switch(value, true));
    Actions { takedown, mail: mail.map(|(key, _)| key.at) }
}
