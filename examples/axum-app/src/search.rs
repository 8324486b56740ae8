//! A check of the application's own: a search (Apache Solr's, say) that must find something.

use std::error::Error;

use axum::body::Body;
use axum::http::{StatusCode, Uri};
use heartbeat_responder::{Boxed, Check, Verdict};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// More than an answer about hits can be, in bytes.
const LONGEST: usize = 256 * 1024;

/// Asks a search engine at a URL; the runner sees to the timeout.
#[derive(Debug)]
pub(crate) struct Search {
    client: Client<HttpConnector, Body>,
    url: Uri,
}

impl Search {
    /// A search at this URL.
    pub(crate) fn at(url: &str) -> Result<Self, axum::http::uri::InvalidUri> {
        // A connection each time: a check should see what a new client sees.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Ok(Self { client, url: url.parse()? })
    }

    async fn find(&self) -> Result<(), String> {
        let answer = self.client.get(self.url.clone()).await.map_err(|error| with_sources(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("expected status 200, found {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|error| with_sources(&*error))?;
        let found: serde_json::Value = serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())?;
        match found.pointer("/response/numFound").and_then(serde_json::Value::as_u64) {
            Some(0) => Err("the search found nothing".to_owned()),
            Some(_) => Ok(()),
            None => Err("expected a number of hits in `response.numFound`".to_owned()),
        }
    }
}

impl Check for Search {
    fn check(&self) -> Boxed<'_, Verdict> {
        Box::pin(async { self.find().await.into() })
    }
}

/// An error and what lies behind it, for the outer ones say little.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
