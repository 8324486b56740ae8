//! The language of the scenarios; its words are explained in `scenarios/README.md`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::str::SplitWhitespace;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_core::coordinator::{ActionWiring, GroupWiring};
use heartbeat_core::outcome::{Outcome, Verdict};
use heartbeat_core::policy::{ActionPolicy, DownWhen, OnStart, Policy, Remind};

use crate::world::{Check, Plan, Provider, outcome};

/// A line that makes sense, with its number.
pub(crate) type Line = (usize, Statement);

#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// The schedule decides when probes run; otherwise every result is written out.
    ByTheClock,
    /// Transitions are no events in this file.
    HideTransitions,
    Configure(Edit),
    At(Duration, Happening),
    Expect(Expectation),
}

/// A change of the plan.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Checks(Vec<Id>, Check),
    Group(GroupWiring),
    Action(ActionWiring),
    Alert(Id),
    Limits { probes: u32, per_host: u32 },
    Remove(Id),
}

#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Nothing,
    /// A probe ends so; and again at this pace until then.
    Probed(Id, Outcome, Option<(Duration, Duration)>),
    Stale(Id),
    Fresh(Id),
    /// From now on probes end so.
    Behaves(Vec<Id>, Outcome),
    Takes(Vec<Id>, Duration),
    Lost(Vec<Id>),
    Provider(Id, Provider),
    Notice(String),
    Restart,
    StandsStill(Duration),
    WallJumps {
        span: Duration,
        back: bool,
    },
    Drain {
        begins: bool,
    },
    Reload(Vec<Edit>),
}

#[derive(Clone, Debug)]
pub(crate) enum Expectation {
    Nothing,
    Decided(Option<Duration>, String),
    Probes(RangeInclusive<usize>, Vec<Id>),
    Apart(Id, Duration),
    AtOnce(usize, Option<Arc<str>>),
    Starts(usize, Duration),
    Wakes(usize, Duration),
    Late(Duration),
    State(Id, String),
    FailCount(Id, u32),
}

/// Reads a whole file.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut statements: Vec<Line> = Vec::new();
    for (number, raw) in (1..).zip(text.lines()) {
        let line = raw.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        let fail = |problem: String| format!("line {number}: {problem}: {raw:?}");
        if line.starts_with(' ') {
            let edit = edit(line.trim()).map_err(fail)?;
            match statements.last_mut() {
                Some((_, Statement::At(_, Happening::Reload(edits)))) => edits.push(edit),
                _ => return Err(fail("only a reload is followed by indented lines".into())),
            }
        } else {
            statements.push((number, statement(line.trim()).map_err(fail)?));
        }
    }
    Ok(statements)
}

fn statement(line: &str) -> Result<Statement, String> {
    if line == "probes run by the clock" {
        return Ok(Statement::ByTheClock);
    }
    if line == "transitions are not shown" {
        return Ok(Statement::HideTransitions);
    }
    let mut words = Words::of(line);
    match words.peek() {
        Some("at") => {
            words.expect("at")?;
            let at = words.duration()?;
            let happening = happening(&mut words)?;
            words.end()?;
            Ok(Statement::At(at, happening))
        }
        Some("expect") => expectation(line.trim_start_matches("expect").trim()).map(Statement::Expect),
        _ => edit(line).map(Statement::Configure),
    }
}

fn edit(line: &str) -> Result<Edit, String> {
    let (head, options) = line.split_once(':').unwrap_or((line, ""));
    let mut words = Words::of(head);
    let edit = match words.next()? {
        "check" => {
            let ids = words.ids()?;
            Edit::Checks(ids, check(options)?)
        }
        "group" => Edit::Group(group(words.id()?, options)?),
        "action" => Edit::Action(action(words.id()?, options)?),
        "alert" => Edit::Alert(words.id()?),
        "remove" => Edit::Remove(words.id()?),
        "limits" => {
            let mut words = Words::of(options);
            let probes = words.number()?;
            words.phrase("at once,")?;
            let per_host = words.number()?;
            words.phrase("per host")?;
            words.end()?;
            Edit::Limits { probes, per_host }
        }
        other => return Err(format!("unknown word `{other}`")),
    };
    words.end()?;
    Ok(edit)
}

/// `key value …, key value …`
fn options(text: &str) -> impl Iterator<Item = Words<'_>> {
    text.split(',').map(str::trim).filter(|option| !option.is_empty()).map(Words::of)
}

fn check(text: &str) -> Result<Check, String> {
    let mut check = Check::default();
    let mut policy = Policy { remind: Remind::Never, ..Policy::default() };
    let mut fast = None;
    for mut words in options(text) {
        match words.next()? {
            "interval" => policy.interval = words.duration()?,
            "fast" => fast = Some(words.duration()?),
            "timeout" => policy.timeout = words.duration()?,
            "fall" => policy.fall = words.number()?,
            "rise" => policy.rise = words.number()?,
            "remind" if words.peek() == Some("never") => words.expect("never")?,
            "remind" => policy.remind = Remind::Every(words.duration()?),
            "actions" => check.actions = words.rest(),
            "alerts" => check.alerts = words.rest(),
            "depends" => {
                words.expect("on")?;
                check.depends_on = words.rest();
            }
            "host" => check.host = Some(Arc::from(words.next()?)),
            "target" => check.target = u64::from(words.number::<u32>()?),
            other => return Err(format!("unknown option `{other}` of a check")),
        }
        words.end()?;
    }
    policy.fast_interval = fast.unwrap_or_else(|| policy.interval.min(Duration::from_secs(10)));
    check.policy = policy;
    Ok(check)
}

fn group(id: Id, text: &str) -> Result<GroupWiring, String> {
    let mut group = GroupWiring { id, checks: Vec::new(), down_when: DownWhen::Any };
    for mut words in options(text) {
        match words.next()? {
            "of" => group.checks = words.rest(),
            "down" => {
                words.expect("when")?;
                group.down_when = match words.next()? {
                    "any" => DownWhen::Any,
                    "all" => DownWhen::All,
                    number => DownWhen::AtLeast(number.parse().map_err(|_| format!("`{number}` is no number"))?),
                };
            }
            other => return Err(format!("unknown option `{other}` of a group")),
        }
        words.end()?;
    }
    Ok(group)
}

fn action(id: Id, text: &str) -> Result<ActionWiring, String> {
    let mut policy = ActionPolicy::default();
    for mut words in options(text) {
        match words.next()? {
            "on" => {
                words.expect("start")?;
                policy.on_start = match words.next()? {
                    "adopt" => OnStart::Adopt,
                    "run" => OnStart::Run,
                    other => return Err(format!("unknown start `{other}`")),
                };
            }
            "repeat" => policy.repeat = Some(words.duration()?),
            other => return Err(format!("unknown option `{other}` of an action")),
        }
        words.end()?;
    }
    Ok(ActionWiring { id, policy })
}

fn happening(words: &mut Words<'_>) -> Result<Happening, String> {
    let rest = words.remaining();
    let fixed = BTreeMap::from([
        ("nothing happens", Happening::Nothing),
        ("restart", Happening::Restart),
        ("drain begins", Happening::Drain { begins: true }),
        ("drain ends", Happening::Drain { begins: false }),
        ("reload", Happening::Reload(Vec::new())),
    ]);
    if let Some(happening) = fixed.get(&*rest) {
        words.rest();
        return Ok(happening.clone());
    }
    if let Some(text) = rest.strip_prefix("notice ") {
        let text = text.to_owned();
        words.rest();
        return Ok(Happening::Notice(text));
    }
    if rest.starts_with("machine stands still for ") {
        words.phrase("machine stands still for")?;
        return Ok(Happening::StandsStill(words.duration()?));
    }
    if rest.starts_with("wall clock jumps ") {
        words.phrase("wall clock jumps")?;
        let back = words.next()? == "back";
        return Ok(Happening::WallJumps { span: words.duration()?, back });
    }
    let ids = words.ids()?;
    let id = ids[0].clone();
    Ok(match words.next()? {
        "passes" => Happening::Probed(id, outcome(Verdict::Pass, ""), words.pace()?),
        "warns" => {
            let reason = words.reason()?;
            Happening::Probed(id, outcome(Verdict::Warn, &reason), words.pace()?)
        }
        "fails" => {
            let reason = words.reason()?;
            Happening::Probed(id, outcome(Verdict::Fail, &reason), words.pace()?)
        }
        "cannot" => {
            words.phrase("be probed")?;
            let reason = words.reason()?;
            Happening::Probed(id, outcome(Verdict::Local, &reason), words.pace()?)
        }
        "becomes" if words.peek() == Some("stale") => {
            words.expect("stale")?;
            Happening::Stale(id)
        }
        "becomes" => {
            words.expect("fresh")?;
            Happening::Fresh(id)
        }
        "starts" => {
            words.expect("to")?;
            let verdict = match words.next()? {
                "pass" => Verdict::Pass,
                "warn" => Verdict::Warn,
                "fail" => Verdict::Fail,
                "escape" => Verdict::Local,
                other => return Err(format!("unknown word `{other}`")),
            };
            Happening::Behaves(ids, outcome(verdict, verdict.as_str()))
        }
        "takes" => Happening::Takes(ids, words.duration()?),
        "loses" => {
            words.expect("answers")?;
            Happening::Lost(ids)
        }
        "accepts" => Happening::Provider(id, Provider::Accepts),
        "is" => {
            words.expect("unreachable")?;
            Happening::Provider(id, Provider::Unreachable)
        }
        "refuses" => {
            words.phrase("for good")?;
            Happening::Provider(id, Provider::RefusesForGood)
        }
        other => return Err(format!("unknown word `{other}`")),
    })
}

fn expectation(text: &str) -> Result<Expectation, String> {
    if text == "nothing" {
        return Ok(Expectation::Nothing);
    }
    let mut words = Words::of(text);
    let expectation = match words.peek() {
        Some("probes") => {
            words.phrase("probes of")?;
            let id = words.id()?;
            let apart = words.duration()?;
            words.expect("apart")?;
            Expectation::Apart(id, apart)
        }
        Some("lateness") => {
            words.phrase("lateness up to")?;
            Expectation::Late(words.duration()?)
        }
        Some("state") => {
            words.expect("state")?;
            Expectation::State(words.id()?, words.next()?.to_owned())
        }
        Some("fail") => {
            words.phrase("fail count")?;
            Expectation::FailCount(words.id()?, words.number()?)
        }
        Some("at") if text.starts_with("at most") => {
            words.phrase("at most")?;
            let most = words.number()?;
            match words.next()? {
                "at" => {
                    words.expect("once")?;
                    let host = words.peek() == Some("on");
                    if host {
                        words.expect("on")?;
                    }
                    Expectation::AtOnce(most, host.then(|| words.next().map(Arc::from)).transpose()?)
                }
                "starts" => {
                    words.expect("within")?;
                    Expectation::Starts(most, words.duration()?)
                }
                "wake-ups" => {
                    words.expect("within")?;
                    Expectation::Wakes(most, words.duration()?)
                }
                other => return Err(format!("unknown word `{other}`")),
            }
        }
        Some("at") => {
            words.expect("at")?;
            let at = words.duration()?;
            return Ok(Expectation::Decided(Some(at), words.remaining()));
        }
        Some(word) if word.as_bytes()[0].is_ascii_digit() => {
            let range = words.next()?;
            let (low, high) = range.split_once("..").unwrap_or((range, range));
            let number = |text: &str| text.parse().map_err(|_| format!("`{range}` is no number of probes"));
            let range = number(low)?..=number(high)?;
            match words.next()? {
                "probe" | "probes" => words.expect("of")?,
                other => return Err(format!("unknown word `{other}`")),
            }
            Expectation::Probes(range, words.ids()?)
        }
        _ => return Ok(Expectation::Decided(None, text.to_owned())),
    };
    words.end()?;
    Ok(expectation)
}

/// The words of a line, taken one by one; what is left over is an error.
struct Words<'a>(Peekable<SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.split_whitespace().peekable())
    }

    fn peek(&mut self) -> Option<&'a str> {
        self.0.peek().copied()
    }

    fn next(&mut self) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| "a word is missing at the end".into())
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        let word = self.next()?;
        if word == wanted { Ok(()) } else { Err(format!("expected `{wanted}`, found `{word}`")) }
    }

    fn phrase(&mut self, wanted: &str) -> Result<(), String> {
        wanted.split(' ').try_for_each(|word| self.expect(word))
    }

    fn end(&mut self) -> Result<(), String> {
        self.0.next().map_or(Ok(()), |word| Err(format!("`{word}` is left over")))
    }

    fn rest(&mut self) -> Vec<Id> {
        self.0.by_ref().map(Id::from).collect()
    }

    fn remaining(&self) -> String {
        self.0.clone().collect::<Vec<_>>().join(" ")
    }

    fn id(&mut self) -> Result<Id, String> {
        self.next().map(Id::from)
    }

    /// One id, or `c1..c20` for many.
    fn ids(&mut self) -> Result<Vec<Id>, String> {
        let word = self.next()?;
        let Some((first, last)) = word.split_once("..") else { return Ok(vec![Id::from(word)]) };
        let name = first.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = |text: &str| text.strip_prefix(name).and_then(|digits| digits.parse::<u32>().ok());
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(format!("`{word}` is no range"));
        };
        Ok((first..=last).map(|n| Id::new(format!("{name}{n}"))).collect())
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        let word = self.next()?;
        word.parse().map_err(|_| format!("`{word}` is no number"))
    }

    fn duration(&mut self) -> Result<Duration, String> {
        let word = self.next()?;
        duration(word).ok_or_else(|| format!("`{word}` is no duration"))
    }

    /// What stands between quotes, or nothing.
    fn reason(&mut self) -> Result<String, String> {
        let Some(first) = self.peek().and_then(|word| word.strip_prefix('"')) else { return Ok(String::new()) };
        self.next()?;
        let mut words = vec![first];
        while !words.last().is_some_and(|word| word.ends_with('"')) {
            words.push(self.next().map_err(|_| "a reason ends with a quote")?);
        }
        Ok(words.join(" ").trim_end_matches('"').to_owned())
    }

    /// `every 30s until 2h`, or nothing.
    fn pace(&mut self) -> Result<Option<(Duration, Duration)>, String> {
        if self.peek() != Some("every") {
            return Ok(None);
        }
        self.expect("every")?;
        let pace = self.duration()?;
        self.expect("until")?;
        Ok(Some((pace, self.duration()?)))
    }
}

/// `1h30m`, `50ms`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let millis = match &after[..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total += Duration::from_millis(number.parse::<u64>().ok()? * millis);
        rest = &after[unit..];
    }
    (!text.is_empty()).then_some(total)
}

impl Edit {
    /// Changes a plan.
    pub(crate) fn apply(self, plan: &mut Plan) {
        match self {
            Self::Checks(ids, check) => plan.checks.extend(ids.into_iter().map(|id| (id, check.clone()))),
            Self::Group(group) => {
                plan.groups.retain(|other| other.id != group.id);
                plan.groups.push(group);
            }
            Self::Action(action) => {
                plan.actions.retain(|other| other.id != action.id);
                plan.actions.push(action);
            }
            Self::Alert(id) => plan.alerts.push(id),
            Self::Limits { probes, per_host } => plan.limits = heartbeat_core::policy::Limits { probes, per_host },
            Self::Remove(id) => {
                plan.checks.remove(&id);
                plan.groups.retain(|group| group.id != id);
                plan.actions.retain(|action| action.id != id);
                plan.alerts.retain(|alert| *alert != id);
            }
        }
    }
}
