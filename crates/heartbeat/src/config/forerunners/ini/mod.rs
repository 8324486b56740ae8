//! The INI daemon's file: checks of one system, and the commands that promote and demote it.
//!
//! The whole system has one verdict, so every check names every action that is used, unless `[general] scope = action`
//! says otherwise. Both directions of an action are commands of their own: of equal ones only the first is kept, and an
//! action may end up with one direction, or be gone. The keys that make a native file decide as the daemon did are all in
//! [`Translator::defaults`] and [`Translator::actions`].

mod dialect;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use self::dialect::{Found, Ini, Section};
use super::build::{self, Ids, Map};
use crate::config::node::Node;
use crate::config::problem::did_you_mean;
use crate::config::{Problem, Problems, Span};

/// The options of `[general]`.
pub const GENERAL: [&str; 10] =
    ["loglevel", "logfile", "pidfile", "user", "group", "threads", "interval", "daemonize", "repeat", "scope"];

/// The options of a check.
pub const CHECK: [&str; 6] = ["type", "hostname", "port", "path", "timeout", "action"];

/// The sections that are no checks, besides `[DEFAULT]`.
const SPECIAL: [&str; 3] = ["general", "promotions", "demotions"];

/// A check's timeout where it says nothing.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a text is the INI daemon's file: it has one of the daemon's own sections, or a section with `type`.
pub fn recognise(text: &str) -> bool {
    let ini = Ini::parse(0, text, &mut Problems::default());
    ini.sections.iter().any(|section| SPECIAL.contains(&section.name.as_str()) || section.has("type"))
}

/// Translates a file into a native tree; what is wrong with it is in `problems` then.
///
/// `launch` is the folder in which heartbeat was started: the paths of the file are relative to it.
pub fn translate(source: u16, text: &str, launch: &Path, problems: &mut Problems) -> Node {
    let ini = Ini::parse(source, text, problems);
    let top = Span { source, line: 1, column: 1 };
    Translator { ini: &ini, general: ini.section("general"), launch, top, problems }.document()
}

struct Translator<'i> {
    ini: &'i Ini,
    general: Option<&'i Section>,
    launch: &'i Path,
    /// The place of what nobody wrote.
    top: Span,
    problems: &'i mut Problems,
}

/// What the checks' actions follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    System,
    Action,
}

/// An action that `[promotions]` and `[demotions]` define.
struct Pair {
    /// In lower case.
    name: String,
    promotion: Found,
    demotion: Found,
}

/// A check before it is known which actions it gets.
struct Draft<'i> {
    section: &'i Section,
    map: Map,
    /// The action that it names, in lower case, and where.
    action: Option<(String, Span)>,
}

impl<'i> Translator<'i> {
    fn document(mut self) -> Node {
        self.warn_of_unknown_options();
        let pairs = self.pairs();
        let interval = self.interval();
        let scope = self.scope();
        let drafts = self.drafts(&pairs);
        let mut document = Map::new(self.top);
        document.put_filled("defaults", self.defaults(interval));
        let used: HashSet<String> = drafts.iter().filter_map(|draft| Some(draft.action.as_ref()?.0.clone())).collect();
        let kept = self.actions(&pairs, &used, scope, interval);
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        document.put_filled("checks", checks(drafts, scope, &names, self.top));
        let mut actions = Map::new(self.top);
        for (name, node) in kept {
            let span = node.span;
            actions.put(name, span, node);
        }
        document.put_filled("actions", actions);
        document.put("alerts", self.top, build::list(Vec::new(), self.top));
        document.word("storage", self.top, "memory");
        document.put_filled("log", self.log());
        document.put_filled("process", self.process());
        if let Some(limits) = self.limits() {
            document.put_filled("limits", limits);
        }
        document.finish()
    }

    /// An option of `[general]`.
    fn general(&mut self, name: &str) -> Option<Found> {
        self.ini.get(self.general, name, self.problems)
    }

    fn expected<T>(&mut self, what: &str, found: &Found) -> Option<T> {
        self.problems.push(Problem::error(found.at, format!("expected {what}, found `{}`", found.text)));
        None
    }

    fn warn_of_unknown_options(&mut self) {
        let referenced = self.ini.referenced();
        let mut warn = |name: &str, key: Span, place: String, known: &[&str]| {
            if !referenced.contains(name) {
                let mut problem = Problem::warning(key, format!("unknown option `{name}` in {place}"));
                problem.help = did_you_mean(name, known.iter().copied());
                self.problems.push(problem);
            }
        };
        for section in &self.ini.sections {
            let known: &[&str] = match section.name.as_str() {
                "promotions" | "demotions" => continue,
                "general" => &GENERAL,
                _ => &CHECK,
            };
            for option in section.options.iter().filter(|option| !known.contains(&option.name.as_str())) {
                warn(&option.name, option.key, format!("[{}]", section.name), known);
            }
        }
        let known = [&GENERAL[..], &CHECK[..]].concat();
        for option in self.ini.defaults().iter().filter(|option| !known.contains(&option.name.as_str())) {
            warn(&option.name, option.key, "[DEFAULT]".to_owned(), &known);
        }
    }

    /// What all checks share: one failure or pass decides, and nothing is hurried.
    fn defaults(&self, interval: Duration) -> Map {
        let mut map = Map::new(self.top);
        map.put("interval", self.top, build::span_of(interval, self.top));
        map.put("fast_interval", self.top, build::span_of(interval, self.top));
        map.put("timeout", self.top, build::span_of(TIMEOUT, self.top));
        map.word("fall", self.top, "1");
        map.word("rise", self.top, "1");
        map
    }

    fn interval(&mut self) -> Duration {
        let default = Duration::from_secs(60);
        let Some(found) = self.general("interval") else { return default };
        let interval = build::time(&found.text, 1.0).filter(|interval| !interval.is_zero());
        interval.or_else(|| self.expected("a number of seconds above 0", &found)).unwrap_or(default)
    }

    fn scope(&mut self) -> Scope {
        let Some(found) = self.general("scope") else { return Scope::System };
        match found.text.to_lowercase().as_str() {
            "system" => Scope::System,
            "action" => Scope::Action,
            _ => self.expected("`system` or `action`", &found).unwrap_or(Scope::System),
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        let Some(found) = self.general(name) else { return false };
        match found.text.to_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => true,
            "0" | "no" | "false" | "off" => false,
            _ => self.expected("`yes` or `no`", &found).unwrap_or(false),
        }
    }

    /// The actions of `[promotions]`, in their order, with their demotions.
    fn pairs(&mut self) -> Vec<Pair> {
        let [promotions, demotions] = ["promotions", "demotions"].map(|name| self.ini.section(name));
        let lone = |from: Option<&'i Section>, other: Option<&Section>| -> Vec<_> {
            let options = from.map_or(&[][..], |section| &section.options);
            options.iter().filter(|option| !other.is_some_and(|other| other.has(&option.name))).collect()
        };
        for (option, has, lacks, section) in lone(promotions, demotions)
            .into_iter()
            .map(|option| (option, "promotion", "demotion", "demotions"))
            .chain(lone(demotions, promotions).into_iter().map(|o| (o, "demotion", "promotion", "promotions")))
        {
            let problem = Problem::error(option.key, format!("action `{}` has a {has} but no {lacks}", option.name))
                .help(format!("add `{} = COMMAND` to [{section}]", option.name));
            self.problems.push(problem);
        }
        let Some((promotions, demotions)) = promotions.zip(demotions) else { return Vec::new() };
        let both = promotions.options.iter().filter(|option| demotions.has(&option.name));
        both.filter_map(|option| {
            let promotion = self.ini.get(Some(promotions), &option.name, self.problems);
            let demotion = self.ini.get(Some(demotions), &option.name, self.problems);
            Some(Pair { name: option.name.clone(), promotion: promotion?, demotion: demotion? })
        })
        .collect()
    }

    /// The actions that are used, each with its commands; for the whole system equal commands are there once.
    fn actions(
        &mut self,
        pairs: &[Pair],
        used: &HashSet<String>,
        scope: Scope,
        interval: Duration,
    ) -> Vec<(String, Node)> {
        let repeat = self.flag("repeat");
        let mut seen: [HashSet<Vec<String>>; 2] = Default::default();
        let mut actions = Vec::new();
        for pair in pairs {
            let commands = [&pair.promotion, &pair.demotion].map(|found| Some((found, self.words(found)?)));
            let at = pair.promotion.key;
            if !used.contains(&pair.name) {
                let message = format!("no check names the action `{}`: it is never run", pair.name);
                self.problems.push(Problem::warning(at, message));
                continue;
            }
            let mut map = Map::new(at);
            let mut empty = true;
            for ((key, command), seen) in ["promote", "demote"].into_iter().zip(commands).zip(&mut seen) {
                let Some((found, words)) = command else { continue };
                if seen.insert(words.clone()) || scope == Scope::Action {
                    let words = words.into_iter().map(|word| build::verbatim(word, found.at)).collect();
                    map.put(key, found.key, build::list(words, found.at));
                    empty = false;
                }
            }
            if empty {
                continue;
            }
            map.word("on_start", at, "run");
            map.word("limit", at, "none");
            let mut retry = Map::new(at);
            retry.put("every", at, build::span_of(interval, at));
            map.put("retry", at, retry.finish());
            if repeat {
                map.put("repeat", at, build::span_of(interval, at));
            }
            map.word("surroundings", at, "launcher");
            actions.push((pair.name.clone(), map.finish()));
        }
        actions
    }

    fn words(&mut self, found: &Found) -> Option<Vec<String>> {
        match shell_words::split(&found.text) {
            Ok(words) if words.first().is_some_and(|program| !program.is_empty()) => Some(words),
            Ok(_) => {
                self.problems.push(Problem::error(found.key, "the command is empty"));
                None
            }
            Err(_) => {
                let problem = Problem::error(found.at, format!("a quote is not closed in `{}`", found.text));
                self.problems.push(problem.help("write `\\'` or `\\\"` where a quote itself is meant"));
                None
            }
        }
    }

    fn drafts(&mut self, pairs: &[Pair]) -> Vec<Draft<'i>> {
        let ini = self.ini;
        let checks = ini.sections.iter().filter(|section| !SPECIAL.contains(&section.name.as_str()));
        let names: HashSet<&str> = pairs.iter().map(|pair| pair.name.as_str()).collect();
        checks
            .map(|section| {
                self.warn_of_near_name(section);
                let action = self.action(section, &names);
                Draft { section, map: self.check(section), action }
            })
            .collect()
    }

    /// `[General]` is a check to the daemon, and hardly meant as one.
    fn warn_of_near_name(&mut self, section: &Section) {
        let special = SPECIAL.iter().chain(&["DEFAULT"]).find(|special| special.eq_ignore_ascii_case(&section.name));
        if let Some(special) = special {
            let problem = Problem::warning(section.span, format!("[{}] is taken for a check", section.name));
            self.problems.push(problem.help(format!("did you mean `[{special}]`?")));
        }
    }

    /// The action that a check names; unknown ones are reported.
    fn action(&mut self, section: &Section, names: &HashSet<&str>) -> Option<(String, Span)> {
        let found = self.ini.get(Some(section), "action", self.problems).filter(|found| !found.text.is_empty())?;
        let name = found.text.to_lowercase();
        let defined = ["promotions", "demotions"].map(|name| self.ini.section(name));
        if names.contains(name.as_str()) {
            return Some((name, found.at));
        }
        // One that is there but wrong has been reported where it stands.
        if !defined.into_iter().flatten().any(|section| section.has(&name)) {
            let mut problem = Problem::error(found.at, format!("there is no action named `{}`", found.text));
            problem.help = did_you_mean(&name, names.iter().copied())
                .or_else(|| Some("add it to [promotions] and [demotions]".to_owned()));
            self.problems.push(problem);
        }
        None
    }

    fn check(&mut self, section: &'i Section) -> Map {
        let mut map = Map::new(section.span);
        if let Some((url, at, is_web)) = self.url(section) {
            map.put("url", at, build::plain(&url, at));
            if is_web {
                let mut expect = Map::new(at);
                expect.word("status", at, "200");
                map.put_filled("expect", expect);
            }
        }
        if let Some(found) = self.ini.get(Some(section), "timeout", self.problems) {
            match build::time(&found.text, 1.0).filter(|timeout| !timeout.is_zero()) {
                Some(timeout) => map.put("timeout", found.key, build::span_of(timeout, found.at)),
                None => self.expected("a number of seconds above 0", &found).unwrap_or_default(),
            }
        }
        map
    }

    /// The target of a check, where it stands, and whether it is a URL that is fetched.
    fn url(&mut self, section: &'i Section) -> Option<(String, Span, bool)> {
        let mut get = |name| self.ini.get(Some(section), name, self.problems);
        let [kind, hostname, port, path] = ["type", "hostname", "port", "path"].map(&mut get);
        let at = [&hostname, &kind].into_iter().flatten().map(|found| found.at).next().unwrap_or(section.span);
        let scheme = match &kind {
            None => Some("tcp"),
            Some(found) => match found.text.to_lowercase().as_str() {
                "http" => Some("http"),
                "https" => Some("https"),
                "tcp" => Some("tcp"),
                _ => self.expected("a type of check, `http`, `https` or `tcp`", found),
            },
        };
        let host = match &hostname {
            None => Some("localhost".to_owned()),
            Some(found) => build::host(&found.text).or_else(|| self.expected("a host name or an address", found)),
        };
        let port = match &port {
            None => Some(8080),
            Some(found) => build::port(&found.text).or_else(|| self.expected("a port from 1 to 65535", found)),
        };
        let (scheme, host, port) = (scheme?, host?, port?);
        if scheme == "tcp" {
            return Some((format!("tcp://{host}:{port}"), at, false));
        }
        let path = path.map_or_else(String::new, |found| found.text);
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some((format!("{scheme}://{host}:{port}{slash}{}", encoded(&path)), at, true))
    }

    fn log(&mut self) -> Map {
        let mut map = Map::new(self.top);
        let level = self.general("loglevel").and_then(|found| match found.text.to_lowercase().as_str() {
            "debug" => Some("debug"),
            "info" => Some("info"),
            "warning" | "warn" => Some("warn"),
            "error" | "critical" | "fatal" => Some("error"),
            _ => self.expected("a log level, `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`", &found),
        });
        map.word("level", self.top, level.unwrap_or("info"));
        self.put_path(&mut map, "file", "logfile", "heartbeat.log");
        map.word("format", self.top, "text");
        map.word("rotate", self.top, "1MB");
        map.word("keep", self.top, "4");
        map
    }

    fn process(&mut self) -> Map {
        let mut map = Map::new(self.top);
        for name in ["user", "group"] {
            let found = self.general(name).filter(|found| !found.text.is_empty());
            if let Some(found) = found.filter(|found| !found.text.eq_ignore_ascii_case("none")) {
                map.put(name, found.key, build::plain(&found.text, found.at));
            }
        }
        self.put_path(&mut map, "pidfile", "pidfile", "heartbeat.pid");
        let daemonize = self.flag("daemonize");
        map.word("daemonize", self.top, if daemonize { "true" } else { "false" });
        map
    }

    fn put_path(&mut self, map: &mut Map, key: &str, option: &str, default: &str) {
        let found = self.general(option);
        let (text, at) = match &found {
            Some(found) if found.text.is_empty() => return self.expected("a path", found).unwrap_or_default(),
            Some(found) => (found.text.as_str(), found.at),
            None => (default, self.top),
        };
        let path = self.launch.join(text);
        map.put(key, at, build::plain(&path.display().to_string(), at));
    }

    fn limits(&mut self) -> Option<Map> {
        let (text, at) = match self.general("threads") {
            None => ("1".to_owned(), self.top),
            Some(found) => match found.text.parse::<u32>() {
                Ok(threads) if threads > 0 => (threads.to_string(), found.at),
                _ => return self.expected("a number of threads from 1", &found),
            },
        };
        let mut map = Map::new(self.top);
        map.word("probes", at, text);
        Some(map)
    }
}

/// The native checks, with the names of the actions that they get.
fn checks(drafts: Vec<Draft<'_>>, scope: Scope, actions: &[&str], top: Span) -> Map {
    let mut checks = Map::new(top);
    let mut ids = Ids::default();
    for Draft { section, mut map, action } in drafts {
        let (names, at): (Vec<&str>, Span) = match (scope, &action) {
            (Scope::System, Some((_, at))) => (actions.to_vec(), *at),
            (Scope::System, None) => (actions.to_vec(), section.span),
            (Scope::Action, Some((name, at))) if actions.contains(&name.as_str()) => (vec![name], *at),
            (Scope::Action, _) => (Vec::new(), section.span),
        };
        if !names.is_empty() {
            let names = names.into_iter().map(|name| build::plain(name, at)).collect();
            map.put("actions", at, build::list(names, at));
        }
        if build::id(&section.name) != section.name {
            map.put("name", section.span, build::plain(&section.name, section.span));
        }
        checks.put(ids.unused(&section.name), section.span, map.finish());
    }
    checks
}

/// A path with the characters that cannot stand in a URL percent-encoded (RFC 3986, section 2.1).
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
