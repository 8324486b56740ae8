//! The answer: from what is known of all services to the bytes that a poller is sent.

use std::fmt::Write as _;
use std::sync::Arc;

use divan::Bencher;
use heartbeat::plan::load;
use heartbeat::run::board::layout;
use heartbeat_core::answer::Standing;
use heartbeat_responder::Board;
use heartbeat_responder::ask::{Asked, Method};
use heartbeat_responder::view::Known;

fn main() {
    divan::main();
}

const READY: Asked<'_> =
    Asked { method: Method::Whole, path: "/readyz", query: None, accept: None, authorization: None, local: true };

/// A board of so many services, all of them up.
fn board(services: usize) -> Board {
    let mut text = String::from("alerts: []\nresponder: { listen: 127.0.0.1:8811 }\nchecks:\n");
    for service in 0..services {
        writeln!(text, "  s{service}: {{ url: \"tcp://127.0.0.1:80\" }}").expect("a string takes everything");
    }
    let (plan, problems) = load::from_text("bench.yaml", &text, &|_| None);
    let plan = plan.unwrap_or_else(|| panic!("the plan is right: {problems:?}"));
    let responder = Arc::clone(plan.responder.as_ref().expect("there is a responder"));
    let mut layout = layout(&plan, &responder).expect("there is no token to read");
    for service in &mut layout.services {
        service.known = up();
    }
    Board::new(layout)
}

fn up() -> Known {
    Known { standing: Standing::Up, ..Known::default() }
}

/// As nearly all polls are: nothing has changed since the one before.
#[divan::bench(args = [10, 1_000, 100_000], sample_size = 1_000)]
fn unchanged(bencher: Bencher<'_, '_>, services: usize) {
    let board = board(services);
    bencher.bench_local(|| {
        board.beat();
        board.ask(&READY)
    });
}

/// A service is down and up again between two polls: the answer is rendered anew.
#[divan::bench(args = [10, 1_000], sample_size = 1_000)]
fn after_a_change(bencher: Bencher<'_, '_>, services: usize) {
    let board = board(services);
    let mut is_up = true;
    bencher.bench_local(|| {
        is_up = !is_up;
        board.beat();
        board.know("s0", if is_up { up() } else { Known { standing: Standing::Down, ..Known::default() } });
        board.ask(&READY)
    });
}
