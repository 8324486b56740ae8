use super::*;
use crate::flag::Drain;
use crate::view::{FlagRule, Member, Scope};
use heartbeat_core::answer::{Standing, Statuses};

/// A flag, a database that decides and a search that is only shown.
fn layout() -> Layout {
    let service = |id: &str| Service { id: id.into(), target: "".into(), known: Known::default() };
    let view = |name: &str, path: &str, question| View {
        name: name.into(),
        path: path.into(),
        scope: 0,
        question,
        statuses: Statuses::default(),
        format: Format::named("services").unwrap(),
        details: Details::Local,
    };
    Layout {
        services: vec![service("database"), service("search")],
        scopes: vec![Scope {
            members: vec![Member { service: 0, takedown: true }, Member { service: 1, takedown: false }],
        }],
        views: vec![view("status", "/heartbeat/status/", Question::Ready), view("live", "/livez", Question::Live)],
        flag: Some(FlagRule { takedown: true }),
        token: None,
    }
}

fn board() -> Board {
    let board = Board::new(layout());
    board.beat();
    board.looked();
    board.know("database", up());
    board.know("search", up());
    board
}

fn up() -> Known {
    Known { standing: Standing::Up, ..Known::default() }
}

fn down(reason: &str) -> Known {
    Known { standing: Standing::Down, reason: reason.into(), since: None }
}

fn get(board: &Board, path: &str, local: bool) -> (u16, String) {
    let asked = Asked { method: Method::Whole, path, query: None, accept: None, authorization: None, local };
    let reply = board.ask(&asked);
    (reply.status, String::from_utf8(reply.body.to_vec()).unwrap())
}

fn status(board: &Board) -> (u16, String) {
    get(board, "/heartbeat/status/", true)
}

#[test]
fn all_is_well() {
    let body = "{\n    \"services\": {\n        \"flag\": \"Ok\",\n        \"database\": \"Ok\",\n        \"search\": \"Ok\"\n    },\n    \"header\": \"200\"\n}";
    let board = board();
    assert_eq!(status(&board), (200, body.to_owned()));
    assert_eq!(get(&board, "/heartbeat/status", true), (200, body.to_owned()));
    assert_eq!(get(&board, "/heartbeat", true).0, 404);
}

#[test]
fn a_flag_takes_the_server_down() {
    let board = board();
    let drain = Drain::because("/etc/heart.beat exists and contains 0");
    board.flag(None, flag::State::Down(drain));
    let body = "{\n    \"services\": {\n        \"flag\": \"Fail: /etc/heart.beat exists and contains 0\",\n        \"database\": \"Ok\",\n        \"search\": \"Ok\"\n    },\n    \"header\": \"503\"\n}";
    assert_eq!(status(&board), (503, body.to_owned()));
    assert_eq!(get(&board, "/livez", true).0, 200);
    board.flag(None, flag::State::Up);
    assert_eq!(status(&board).0, 200);
}

#[test]
fn a_service_that_decides_takes_it_down_and_another_does_not() {
    let board = board();
    board.know("search", down("no results"));
    let body = "{\n    \"services\": {\n        \"flag\": \"Ok\",\n        \"database\": \"Ok\",\n        \"search\": \"Fail: no results\"\n    },\n    \"header\": \"200\"\n}";
    assert_eq!(status(&board), (200, body.to_owned()));
    board.know("database", down("refused"));
    let body = body.replace("\"database\": \"Ok\"", "\"database\": \"Fail: refused\"").replace("200", "503");
    assert_eq!(status(&board), (503, body.clone()));
    let to_strangers = body.replace(": no results", "").replace(": refused", "");
    assert_eq!(get(&board, "/heartbeat/status/", false), (503, to_strangers));
}

#[test]
fn it_fails_closed() {
    let board = Board::new(layout());
    assert_eq!(status(&board).0, 503, "nobody watches");
    board.beat();
    assert_eq!(get(&board, "/livez", true).0, 503, "nobody looks at the flag");
    board.looked();
    assert_eq!(get(&board, "/livez", true).0, 200);
    assert_eq!(status(&board).0, 503, "the database is not known");
    board.know("database", up());
    assert_eq!(status(&board).0, 200);
}

#[test]
fn an_answer_is_rendered_once() {
    let board = board();
    let asked = Asked {
        method: Method::Head,
        path: "/heartbeat/status/",
        query: None,
        accept: None,
        authorization: None,
        local: false,
    };
    let first = board.ask(&asked);
    assert!(Arc::ptr_eq(&first, &board.ask(&asked)));
    board.know("search", down("x"));
    assert!(!Arc::ptr_eq(&first, &board.ask(&asked)));
}

#[test]
fn a_new_layout_keeps_the_drains() {
    let board = board();
    board.flag(None, flag::State::Down(Drain::because("x")));
    board.replace(layout());
    board.know("database", up());
    assert_eq!(status(&board).0, 503);
    board.flag(None, flag::State::Up);
    assert_eq!(status(&board).0, 200);
    board.flag(Some("status"), flag::State::Down(Drain::because("y")));
    assert_eq!(status(&board).0, 503);
    assert_eq!(board.answer("live").unwrap().0, Answer::Ok);
}

#[test]
fn a_word_is_said_without_the_services() {
    let board = board();
    let of = |view: &str, answer, status, ending| {
        Some(Word { view: view.into(), answer, status, ending, details: Details::Local })
    };
    assert_eq!(board.word("status"), of("status", Answer::Ok, 200, false));
    assert!(board.word("status").unwrap().is_welcome());
    board.know("database", down("refused"));
    assert_eq!(board.word("status"), of("status", Answer::Down, 503, false));
    assert!(!board.word("status").unwrap().is_welcome());
    board.end("SIGTERM");
    assert_eq!(board.word("status"), of("status", Answer::Down, 503, true), "a failure is said before an end");
    assert_eq!(board.word("live"), of("live", Answer::Ok, 200, true), "but the end is told in any case");
    assert_eq!(board.word("none"), None);
}

/// Whoever asks after something became known hears of it, however many ask and render meanwhile.
#[test]
fn no_answer_is_older_than_what_was_known_when_it_was_asked_for() {
    const LAST: usize = 3000;
    let board = board();
    let known = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for number in 1..=LAST {
                let standing = if number % 2 == 0 { Standing::Up } else { Standing::Down };
                board.know("search", Known { standing, reason: format!("word {number}.").into(), since: None });
                known.store(number, Ordering::SeqCst);
            }
        });
        for _ in 0..3 {
            threads.spawn(|| {
                loop {
                    let before = known.load(Ordering::SeqCst);
                    let (_, body) = status(&board);
                    let word = body.split("word ").nth(1).and_then(|rest| rest.split('.').next());
                    let seen: usize = word.map_or(0, |word| word.parse().expect("a number"));
                    assert!(seen >= before, "{seen} was shown when {before} was known");
                    if before == LAST {
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn another_method_is_refused_only_where_a_view_is() {
    let board = board();
    let ask = |path| {
        board.ask(&Asked { method: Method::Other, path, query: None, accept: None, authorization: None, local: false })
    };
    assert_eq!(ask("/livez").status, 405);
    assert!(ask("/livez").head.ends_with(b"Allow: GET, HEAD, OPTIONS, POST\r\n"));
    assert_eq!(ask("/nowhere").status, 404);
    assert!(board.handles("/livez/") && !board.handles("/nowhere"));
}
