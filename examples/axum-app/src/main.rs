//! A web application that tells load balancers how it is: a flag, its database, and a search that must find something.
//!
//! No request waits for a check: they run in the background, and answers come from memory. At SIGTERM readiness fails first;
//! the listener is closed when load balancers have had the time to see that.

mod database;
mod search;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use heartbeat_responder::{Health, Options, Transition, blocking};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use database::Database;
use search::Search;

const USAGE: &str = "usage: axum-app ADDRESS FLAG DATABASE SEARCH-URL
  for example: axum-app 127.0.0.1:3000 heart.beat shop.db 'http://127.0.0.1:8983/solr/shop/select?q=*:*'
  $HEALTH_TOKEN, if it is set, shows reasons to those who ask from elsewhere";

/// Longer than a load balancer needs to see that we are not ready any more: its interval times its `fall`.
const LAME_DUCK: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, flag, database, search] = arguments.as_slice() else { return Err(USAGE.into()) };
    let database = Database::at(database)?;

    // Checks that cost so little may run often.
    let often = Options::new().interval(Duration::from_secs(1)).timeout(Duration::from_secs(2)).fall(2).rise(1);
    let mut health = Health::builder()
        .flag(flag)
        .defaults(often)
        .check("database", blocking(database.check()))
        // Without the search there is still a shop: it is shown, and decides nothing.
        .check_with("search", Options::new().takedown(false), Search::at(search)?)
        .observer(tell)
        .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.into()));
    if let Some(token) = token() {
        health = health.token(token);
    }
    let health = health.build()?;

    let visits = move || {
        let database = database.clone();
        async move { database.count_visit().await }
    };
    let application = Router::new().route("/", get(visits)).fallback_service(health.clone());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, application.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(end(health))
        .await?;
    Ok(())
}

/// Where others send mail.
fn tell(transition: &Transition) {
    let Transition { subject, from, to, reason, .. } = transition;
    eprintln!("{subject}: {from} -> {to} {reason}");
}

#[expect(clippy::disallowed_methods, reason = "the environment is where this application finds its secret")]
fn token() -> Option<String> {
    std::env::var("HEALTH_TOKEN").ok()
}

/// Resolves when the listener may be closed.
async fn end(health: Health) {
    let mut term = signal(SignalKind::terminate()).expect("a handler for SIGTERM can be set");
    term.recv().await;
    health.end("the application is stopping");
    tokio::time::sleep(LAME_DUCK).await;
}
