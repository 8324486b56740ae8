//! The tower service: what is asked over HTTP, whatever carries it.

use std::net::SocketAddr;
use std::time::Duration;

use heartbeat_responder::flag::{Flag, Order};
use heartbeat_responder::{Answer, Body, Builder, Health, Options, Peer, Statuses, Transition, ViewOptions};
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use tower_service::Service;

use crate::{all, answer, build, until};

async fn refused() -> Result<(), &'static str> {
    Err("connection refused")
}

async fn fine() {}

fn builder() -> Builder {
    let at_once = Options::new().fall(1).interval(Duration::from_millis(50));
    Health::builder().check("cache", fine).check_with("database", at_once, refused)
}

async fn health(builder: Builder) -> Health {
    let health = build(builder);
    until("both are known", || answer(&health) == Answer::Down).await;
    health
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).expect("a request")
}

fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().into_bytes().to_vec()).expect("text")
}

#[tokio::test]
async fn it_is_a_service() {
    fn is_one<S>(service: S) -> S
    where
        S: Service<Request<String>, Response = Response<Body>, Error = std::convert::Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        service
    }
    let mut service = is_one(health(builder()).await);
    let request = Request::post("/readyz?x").body("whatever".to_owned()).expect("a request");
    let response = service.call(request).await.expect("it never fails");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("content-length"), "4");
    assert_eq!(response.body().size_hint().exact(), Some(4));
    assert_eq!(text(response), "Fail");
}

#[tokio::test]
async fn a_head_has_the_same_headers_and_no_body() {
    let health = health(builder()).await;
    let whole = health.respond(&get("/heartbeat/status/"));
    let head = health.respond(&Request::head("/heartbeat/status/").body(()).expect("a request"));
    assert_eq!((head.status(), head.headers()), (whole.status(), whole.headers()));
    assert!(head.body().is_end_stream());
    assert_eq!(head.headers()["content-length"].to_str().ok(), Some(text(whole).len().to_string().as_str()));
}

#[tokio::test]
async fn what_is_not_ours_is_refused() {
    let health = health(builder()).await;
    assert_eq!(health.respond(&get("/")).status(), StatusCode::NOT_FOUND);
    assert_eq!(health.respond(&get("/readyz?format=xml")).status(), StatusCode::BAD_REQUEST);
    let put = |path: &str| health.respond(&Request::put(path).body(()).expect("a request"));
    assert_eq!(put("/readyz").status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put("/readyz").headers()["allow"], "GET, HEAD, OPTIONS, POST");
    assert_eq!(put("/elsewhere").status(), StatusCode::NOT_FOUND);
    for (path, ours) in [("/readyz", true), ("/readyz/", true), ("/readyz//", false), ("/", false), ("", false)] {
        assert_eq!(health.handles(path), ours, "{path}");
    }
}

#[tokio::test]
async fn details_are_for_those_who_are_local() {
    let health = health(builder()).await;
    let detailed = |request: &Request<()>| text(health.respond(request)).contains("connection refused");
    assert!(!detailed(&get("/heartbeat/status/")), "nobody said who asks");
    for (peer, sees) in [
        ("127.0.0.1:1", true),
        ("127.9.9.9:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("10.0.0.1:1", false),
        ("[::ffff:10.0.0.1]:1", false),
    ] {
        let mut request = get("/heartbeat/status/");
        request.extensions_mut().insert(Peer::from(peer.parse::<SocketAddr>().expect("an address")));
        assert_eq!(detailed(&request), sees, "{peer}");
        for header in ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"] {
            let mut proxied = request.clone();
            proxied.headers_mut().insert(header, "127.0.0.1".parse().expect("a value"));
            assert!(!detailed(&proxied), "{peer} through a proxy that sends {header}");
        }
    }
}

#[tokio::test]
async fn a_token_opens_the_details() {
    let health = health(builder().token("sesame")).await;
    for (value, sees) in [
        ("Bearer sesame", true),
        ("bearer sesame", true),
        ("Bearer sesam", false),
        ("Basic sesame", false),
        ("sesame", false),
    ] {
        let mut request = get("/heartbeat/status/");
        request.headers_mut().insert("authorization", value.parse().expect("a value"));
        assert_eq!(text(health.respond(&request)).contains("connection refused"), sees, "{value}");
    }
}

#[tokio::test]
async fn the_application_says_how_to_find_the_peer() {
    #[derive(Clone)]
    struct Info(SocketAddr);
    let find = |extensions: &http::Extensions| extensions.get::<Info>().map(|info| info.0.into());
    let health = health(builder().peer(find)).await;
    let mut request = get("/heartbeat/status/");
    request.extensions_mut().insert(Info("127.0.0.1:9".parse().expect("an address")));
    assert!(text(health.respond(&request)).contains("connection refused"));
}

#[tokio::test]
async fn views_of_ones_own_and_a_prefix() {
    let statuses = Statuses { fail: 500, ..Statuses::default() };
    let own = ViewOptions::at("/lb/cache").checks(["cache"]).format("text");
    let health = health(
        builder().statuses(statuses).prefix("/internal/").view("cache", own).view("ready", ViewOptions::at("/ready")),
    )
    .await;
    let status = |path: &str| health.respond(&get(path)).status().as_u16();
    assert_eq!(text(health.respond(&get("/lb/cache"))), "OK");
    assert_eq!(status("/internal/healthz"), 500);
    assert_eq!(status("/healthz"), 404);
    assert_eq!(status("/ready"), 500, "in place of the default view");
    assert_eq!(status("/internal/readyz"), 404);
}

#[tokio::test]
async fn the_flag_takes_the_application_out_of_service_and_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("heart.beat");
    let (told, tells) = std::sync::mpsc::channel();
    let observer = move |transition: &Transition| {
        let _ = told.send((transition.subject.to_string(), transition.to.to_string(), transition.reason.to_string()));
    };
    let health = build(Health::builder().flag(&file).observer(observer));
    until("in service", || answer(&health).is_ok()).await;
    let flag = Flag::new(&file);
    flag.raise(&Order { until: None, reason: Some("a new disk".to_owned()) }).expect("the flag can be written");
    until("out of service", || answer(&health) == Answer::Drained).await;
    assert_eq!(health.respond(&get("/readyz")).status().as_u16(), 503);
    assert_eq!(text(health.respond(&get("/readyz"))), "Server maintenance under way");
    assert_eq!(text(health.respond(&get("/livez"))), "OK");
    flag.lower().expect("the flag can be removed");
    until("in service again", || answer(&health).is_ok()).await;
    flag.of_view("ready").raise(&Order::default()).expect("the flag can be written");
    until("one view is out of service", || health.respond(&get("/readyz")).status() != StatusCode::OK).await;
    assert!(answer(&health).is_ok(), "the other one is not");
    drop(health);
    let said = |subject: &str, to: &str, reason: String| (subject.to_owned(), to.to_owned(), reason);
    let file = file.display();
    assert_eq!(
        all(tells).await,
        [
            said("flag", "down", format!("{file} exists and contains 0: a new disk")),
            said("flag", "up", String::new()),
            said("flag.ready", "down", format!("{file}.ready exists and contains 0")),
        ]
    );
}
