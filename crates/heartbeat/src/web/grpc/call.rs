//! One call, from its headers to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use heartbeat_responder::Answer;
use heartbeat_responder::board::Word;
use http::Request;
use tokio::time::{sleep, timeout};

use super::message::{self, ServingStatus};
use super::reply::Reply;
use super::request::{self, Asked};
use super::status::{self, Code, Status};
use super::{Health, Stop};
use crate::host::clock;
use crate::web::polls::Counters;

/// A call that is to have one answer is over after this, be it that its message does not come or that nobody reads.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a watched view is looked at.
const PACE: Duration = Duration::from_millis(250);

/// After so many looks a watcher counts as a poll: it knows the answer as well as one who asks every second.
const LOOKS_A_POLL: u32 = 4;

/// A list has at most so many services (gRFC A90).
const MOST_LISTED: usize = 100;

/// A call under way.
pub(super) struct Call {
    pub(super) health: Health,
    pub(super) counters: Counters,
}

impl Call {
    /// Answers it, unless whoever asks goes away.
    pub(super) async fn answer(mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let (head, mut body) = request.into_parts();
        if let Some(refusal) = request::refusal(&head) {
            let _ = respond.send_response(refusal, true);
            return;
        }
        let mut reply = Reply::new(respond);
        let ended = match (Asked::by_path(head.uri.path()), status::timeout(&head.headers)) {
            (Err(status), _) | (_, Err(status)) => Err(status.into()),
            (Ok(asked), Ok(limit)) => {
                let calling = async {
                    let message = request::message(&mut body, &head.headers);
                    let message = within(PATIENCE, message).await?;
                    let service = message::service(&message).map_err(Status::from)?;
                    match asked {
                        Asked::Check => within(PATIENCE, self.check(service, &mut reply)).await,
                        Asked::List => within(PATIENCE, self.list(&mut reply)).await,
                        Asked::Watch => self.watch(service, &mut reply).await,
                    }
                };
                within(limit.unwrap_or(Duration::MAX), calling).await
            }
        };
        match ended {
            Ok(()) => reply.end(&Status::OK),
            Err(Stop::Status(status)) => reply.end(&status),
            Err(Stop::Gone) => {}
        }
    }

    async fn check(&mut self, service: &str, reply: &mut Reply) -> Result<(), Stop> {
        let word = self.health.word(service);
        self.count(word.as_ref());
        let Some(word) = word else {
            return Err(Status::new(Code::NotFound, format!("no view has the name `{service}`")).into());
        };
        reply.message(message::check_response(serving(&word))).await
    }

    async fn list(&mut self, reply: &mut Reply) -> Result<(), Stop> {
        let mut names = vec![Arc::from("")];
        names.extend(self.health.board.views());
        if names.len() > MOST_LISTED {
            let message = format!("there are {} views; a list has at most {MOST_LISTED}", names.len());
            return Err(Status::new(Code::ResourceExhausted, message).into());
        }
        // A reload may have taken one of them away meanwhile.
        let word = |name: &Arc<str>| self.health.word(name).map(|word| (name.clone(), serving(&word)));
        let statuses: Vec<_> = names.iter().filter_map(word).collect();
        reply.message(message::list_response(&statuses)).await
    }

    /// Tells what a view says, and again whenever it says something else. It has no good end: who watches shall come back.
    async fn watch(&mut self, service: &str, reply: &mut Reply) -> Result<(), Stop> {
        let _place = self.health.watchers.clone().try_acquire_owned().map_err(|_| {
            Status::new(Code::ResourceExhausted, "too many calls of Watch are open; ask by Check, or later")
        })?;
        let mut told = None;
        let mut looks = 0;
        loop {
            // Somebody who reads slowly is told the latest, not all that has been.
            reply.room(message::LONGEST_STATUS).await?;
            let ending = *self.health.ending.borrow() || self.health.ending.has_changed().is_err();
            let word = self.health.word(service);
            let status = match &word {
                None => ServingStatus::ServiceUnknown,
                Some(_) if ending => ServingStatus::NotServing,
                Some(word) => serving(word),
            };
            if told.replace(status) != Some(status) {
                reply.message(message::check_response(status)).await?;
                looks = 0;
            }
            if ending {
                return Err(Status::new(Code::Unavailable, "heartbeat is about to end").into());
            }
            if looks % LOOKS_A_POLL == 0 {
                self.count(word.as_ref());
            }
            looks += 1;
            tokio::select! {
                () = sleep(PACE) => {}
                _ = self.health.ending.changed() => {}
                () = reply.given_up() => return Err(Stop::Gone),
            }
        }
    }

    fn count(&mut self, word: Option<&Word>) {
        let now = clock::now();
        match word {
            Some(word) => self.counters.count_answer(Some(&word.view), Some(word.answer), word.status, now),
            None => self.counters.count_answer(None, None, 404, now),
        }
    }
}

/// What is not known yet is said so, unless the configuration lets it count as well.
fn serving(word: &Word) -> ServingStatus {
    match word.answer {
        _ if word.is_welcome() => ServingStatus::Serving,
        Answer::Unknown => ServingStatus::Unknown,
        _ => ServingStatus::NotServing,
    }
}

async fn within<T>(limit: Duration, doing: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    timeout(limit, doing).await.unwrap_or_else(|_| Err(Status::deadline().into()))
}
