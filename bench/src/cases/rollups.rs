//! A year of results and what is kept of them: how large it is, and how soon questions about it are answered. It goes through
//! the store of the program, result by result, in some seconds instead of a year.

use std::time::Duration;

use heartbeat::store::rollup::Step;
use heartbeat::store::{self, Flush, Question, Storage, points};
use heartbeat_core::ledger::{Batch, ResultRow};
use heartbeat_core::outcome::{Fault, Outcome};
use heartbeat_core::{Id, Wall};

use crate::child::now;
use crate::lab::{Lab, median};
use crate::table::Row;

/// How often the checks are probed, in seconds: every minute is the default.
const INTERVALS: [i64; 4] = [60, 60, 30, 10];

/// As many checks the goal is about.
const CHECKS: f64 = 1_000.0;

/// 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600;

const DAY: i64 = 24 * 3600;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>, String> {
    let (before, days) = if lab.scale.is_smoke() { (1, 2) } else { (8, 365) };
    let file = lab.folder.path().join("rollups.db");
    let storage = Storage::Sqlite(file.clone());
    let mut services: Vec<Service> = INTERVALS.into_iter().enumerate().map(Service::new).collect();
    // Results themselves are kept for a week: from then on there is nothing new but rollups.
    let mut sizes = [0; 2];
    for (size, days) in sizes.iter_mut().zip([0..before, before..before + days]) {
        fill(&storage, &mut services, days)?;
        *size = std::fs::metadata(&file).map_err(super::text)?.len();
    }
    let end = BEGIN + (before + days) * DAY;
    let year = (sizes[1] - sizes[0]) as f64 / services.len() as f64 * CHECKS * 365.0 / days as f64 / 1e9;
    let measured = format!("{} bytes for {} checks in {days} days, extrapolated", sizes[1] - sizes[0], services.len());
    Ok(vec![Row::at_most(1.0, "rollups of a year of 1,000 checks in GB", year, measured), slowest(&storage, end)?])
}

/// Stores the results of some days as the daemon does.
fn fill(storage: &Storage, services: &mut [Service], days: std::ops::Range<i64>) -> Result<(), String> {
    let mut store = store::open(storage).map_err(|error| error.message)?.store;
    for hours in (days.start * 4..days.end * 4).map(|quarter| BEGIN + quarter * DAY / 4) {
        let mut results: Vec<ResultRow> =
            services.iter_mut().flat_map(|service| service.results(hours..hours + DAY / 4)).collect();
        results.sort_by_key(|result| result.at);
        let batch = Batch { results, ..Batch::default() };
        store.commit(&batch, Flush::Later).map_err(|error| error.message)?;
        while store.tend().map_err(|error| error.message)? {}
    }
    Ok(())
}

/// The slowest of several questions that end at this time.
fn slowest(storage: &Storage, end: i64) -> Result<Row, String> {
    let questions = [
        ("a year by the minute", 365, Step::Minute),
        ("a year by the day", 365, Step::Day),
        ("a month by the minute", 30, Step::Minute),
        ("a month by the hour", 30, Step::Hour),
        ("a day by the minute", 1, Step::Minute),
    ];
    let mut answers = Vec::new();
    for (what, days, step) in questions {
        let [from, until] = [end - days * DAY, end].map(|seconds| Wall::from_unix_millis(seconds * 1000));
        let mut worst = 0.0_f64;
        for check in (0..INTERVALS.len()).map(name) {
            let mut times = Vec::new();
            for _ in 0..5 {
                let begin = now();
                let answer = points(storage, &Question { check: &check, from, until, step });
                times.push(begin.elapsed().as_secs_f64() * 1000.0);
                if answer.map_err(|error| error.message)?.is_empty() {
                    return Err(format!("nothing is known of `{check}`, asked for {what}"));
                }
            }
            worst = worst.max(median(times.into_iter()));
        }
        answers.push((what, worst));
    }
    let worst = answers.iter().map(|(_, millis)| *millis).fold(0.0, f64::max);
    let measured: Vec<String> = answers.iter().map(|(what, millis)| format!("{what} {millis:.1} ms")).collect();
    Ok(Row::at_most(50.0, "the slowest question about the rollups of a check in ms", worst, measured.join(", ")))
}

fn name(number: usize) -> String {
    format!("shop-{number}.example.org/health")
}

/// A service as its check sees it: slower by day than by night, with jitter, now and then far slower, and every ten days or so
/// down for a while.
struct Service {
    id: Id,
    interval: i64,
    /// Its usual latency, in seconds.
    latency: f64,
    /// It is down until this second.
    down: i64,
    noise: Noise,
}

impl Service {
    fn new((number, interval): (usize, i64)) -> Self {
        let noise = Noise(0x9e37_79b9_7f4a_7c15 ^ number as u64);
        Self { id: Id::new(name(number)), interval, latency: 0.01 * 3_f64.powi(number as i32), down: 0, noise }
    }

    /// Its results between two seconds.
    fn results(&mut self, seconds: std::ops::Range<i64>) -> Vec<ResultRow> {
        seconds.step_by(self.interval as usize).map(|second| self.result(second)).collect()
    }

    fn result(&mut self, second: i64) -> ResultRow {
        let noise = &mut self.noise;
        if noise.one_of(10 * DAY / self.interval) {
            self.down = second + 120 + (noise.share() * 3600.0) as i64;
        }
        let at = Wall::from_unix_millis(second * 1000 + (noise.share() * 50.0) as i64);
        let outcome = if second < self.down {
            Outcome::fault(Fault::Refused, "connection refused", Duration::from_secs_f64(noise.share() / 1000.0))
        } else {
            let rhythm = 1.0 + 0.3 * (second as f64 / DAY as f64 * std::f64::consts::TAU).sin();
            let rarely = if noise.one_of(100) { 2.0 + 8.0 * noise.share() } else { 1.0 };
            Outcome::pass(Duration::from_secs_f64(self.latency * rhythm * rarely * (0.25 * noise.normal()).exp()))
        };
        ResultRow { check: self.id.clone(), at, outcome }
    }
}

/// Numbers without a pattern, the same in every run: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
/// generators, scrambled").
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn one_of(&mut self, many: i64) -> bool {
        self.share() * (many as f64) < 1.0
    }

    /// Around 0, with a deviation of 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}
