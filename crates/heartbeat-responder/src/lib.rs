//! Health answers for load balancers, to embed in a web application.
//!
//! An application says what it depends on; the checks run in the background, and whoever asks is answered from memory: a poll
//! never waits for a check. A flag file takes the application out of service before it is stopped. Paths, formats and flag
//! are those of the program `heartbeat`, through the same code.
//!
//! ```
//! use std::time::Duration;
//!
//! use heartbeat_responder::{Health, Options, Verdict, blocking};
//!
//! async fn ping_database() -> Result<(), std::io::Error> {
//!     Ok(()) // a round trip on the application's own pool
//! }
//!
//! async fn search() -> Verdict {
//!     match 12 {
//!         0 => Verdict::Fail("the search found nothing".to_owned()),
//!         hits => Verdict::PassAs(format!("{hits} hits")), // shown in place of `Ok`
//!     }
//! }
//!
//! # async fn has(answer: impl Fn() -> u16, status: u16) { while answer() != status { tokio::time::sleep(Duration::from_millis(5)).await } }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let health = Health::builder()
//!     .flag("/srv/shop/heart.beat")
//!     .check("database", ping_database)
//!     .check("uploads", blocking(|| std::fs::metadata("/tmp").map(drop)))
//!     .check_with("search", Options::new().takedown(false).interval(Duration::from_secs(30)), search)
//!     .observer(|transition| eprintln!("{} is {}: {}", transition.subject, transition.to, transition.reason))
//!     .build()?;
//!
//! // `Health` is a tower service: with axum, `Router::new().fallback_service(health.clone())`. Or answer by hand:
//! let request = http::Request::get("/heartbeat/status/").body(())?;
//! let status = || health.respond(&request).status().as_u16();
//! # has(&status, 200).await;
//! assert_eq!(status(), 200);
//!
//! // At SIGTERM readiness fails first; what is listening is closed when load balancers have seen it.
//! health.end("the application is stopping");
//! assert_eq!(status(), 503);
//! # Ok(())
//! # }
//! ```
//!
//! # What is there
//!
//! | path | view | answers |
//! |---|---|---|
//! | `/heartbeat/status/` | `status` | whether requests are welcome: 200 or 503, with every check; the Django application's JSON |
//! | `/readyz`, `/healthz` | `ready`, `health` | the same as text, and after draft-inadarei-api-health-check-06 |
//! | `/startupz` | `startup` | whether every check that decides has had its first verdict |
//! | `/livez` | `live` | only that checks are being run; neither failures nor drains matter |
//!
//! [`Builder::view`] adds others or replaces these. `?format=` and `Accept` ask for other [formats](format::FORMATS). Reasons
//! are shown to whoever asks from this machine and not through a proxy (see [`Peer`]), and to whoever has the
//! [token](Builder::token).
//!
//! # The flag
//!
//! The flag takes the application out of service while its file holds a `0` anywhere; what cannot be read counts as a flag.
//! `heartbeat down` and `heartbeat up` write and remove it, with this line in `heartbeat.yaml`:
//!
//! ```yaml
//! responder: { flag: /srv/shop/heart.beat }
//! ```
//!
//! # It fails closed
//!
//! A check that panics or does not end in time has failed. Before the first verdict, and when the runner or the thread that
//! looks at the flag has not been heard of for five seconds, no view says that all is well, `/livez` included. A check that
//! blocks its thread, rather than waiting, holds up neither answers nor other checks as long as the runtime has another
//! thread; such work belongs into [`blocking`].
//!
//! # For other transports
//!
//! [`Board`] answers without HTTP's types: give it what was [asked](ask::Asked), and send the [reply](reply::Reply).

pub mod ask;
pub mod board;
mod builder;
mod check;
mod clock;
pub mod defaults;
pub mod flag;
pub mod format;
mod health;
pub mod lookout;
mod observer;
pub mod pulse;
pub mod reply;
mod runner;
mod service;
pub mod view;

pub use board::Board;
pub use builder::{BuildError, Builder, Options, ViewOptions};
pub use check::{Boxed, Check, Verdict, blocking};
pub use health::Health;
pub use observer::Transition;
pub use service::{Body, Peer};
pub use view::Details;

pub use heartbeat_core::Wall;
pub use heartbeat_core::answer::{Answer, Question, Standing, Statuses};
pub use heartbeat_core::record::State;
