//! A URL of which only the host may be shown: whoever knows all of it may post.

use url::Url;

use super::answer::Cleaner;
use super::http;
use crate::config::values::Secret;
use crate::config::values::secret::REDACTED;
use crate::config::{Context, Node, Shape, Value};
use crate::host::env;

/// Parts of a URL that are shorter are no secrets.
const SHORTEST_TOKEN: usize = 6;

/// A URL, or where to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HookUrl(Secret);

impl HookUrl {
    /// What people may see of it.
    pub(super) fn shown(&self) -> String {
        match &self.0 {
            Secret::Literal(url) => shown(url),
            Secret::File(path) => format!("the URL in {}", path.display()),
            Secret::Env(name) => format!("the URL in ${name}"),
            Secret::Credential(name) => format!("the URL in the credential {name}"),
        }
    }

    /// Fetches it, and hides from answers what may be secret in it.
    ///
    /// # Errors
    /// A sentence that does not hold it.
    pub(super) fn reveal(&self, cleaner: &mut Cleaner) -> Result<String, String> {
        let text = self.0.reveal(&env::variable)?.trim().to_owned();
        let url = http::parse(&text).map_err(|error| format!("{}: {error}", self.shown()))?;
        // Services put tokens into single segments or parameters; what is short is a word of theirs, such as `hook`.
        let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
        let parameters = url.query_pairs().map(|(_, value)| value.into_owned());
        let parts = segments.chain(parameters).filter(|part| part.len() >= SHORTEST_TOKEN);
        parts.for_each(|part| cleaner.hide(part));
        Ok(text)
    }
}

fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|_| REDACTED.to_owned(), |url| http::origin(&url))
}

impl Value for HookUrl {
    fn shape() -> Shape {
        Secret::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let secret = Secret::decode(node, context)?;
        if let Secret::Literal(text) = &secret
            && let Err(wrong) = http::parse(text)
        {
            return context.error(node.span, wrong);
        }
        Some(Self(secret))
    }

    fn show(&self) -> Node {
        self.0.show()
    }

    fn redact(written: &Node) -> Node {
        match written.as_text() {
            Some(text) => Node::text(format!("{}/{REDACTED}", shown(text))).at(written.span),
            None => Secret::redact(written),
        }
    }
}
