//! `email`: through a mail server, or this machine's own mail system.
//!
//! `smtps://` is TLS from the first byte. `smtp://` insists on STARTTLS, except towards this machine itself, where nobody
//! else listens and certificates are seldom in order. Without a server the mail goes to port 25 of this machine, or, if
//! nobody is there, to `sendmail`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Mutex;

use heartbeat_core::template::Template;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;

use super::addresses::{Address, Addresses};
use super::answer::Cleaner;
use super::connection::Tls;
use super::mail::{Body, Form};
use super::smtp::{Envelope, Failure, Protection, Server};
use super::smtp_url::SmtpUrl;
use super::{Accepted, Boxed, Channel, Kind, Refused, Spec, refuse_unknown_names, sendmail};
use crate::config::values::{FilePath, Secret, words};
use crate::config::{Fields, Node, Problem};
use crate::host::{env, hostname};
use crate::message::Message;

/// The line of the table.
pub(super) const KIND: Kind = Kind {
    name: "email",
    doc: "Mail, through a server or this machine's own mail system.",
    example: "\
type: email
smtp: smtps://ops@smtp.example.org
password: { file: /etc/heartbeat/smtp }
from: heartbeat@example.org
to: [ops@example.org, Boss <boss@example.org>]
subject: $name is $state
",
    short,
    decode,
};

/// Where mail systems install their `sendmail`, whatever `PATH` says (Filesystem Hierarchy Standard 3.0, section 4.10).
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// Whether a connection to `smtp://` is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartTls {
    /// It is, or nothing is sent.
    Required,
    /// It is not.
    Never,
}

words!(StartTls { "required" => Required, "never" => Never });

/// `mailto:` with one address or several (RFC 6068); nothing but a subject may follow.
fn short(text: &str) -> Option<Node> {
    let (scheme, rest) = text.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("mailto") {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (to, query) = rest.split_once('?').unwrap_or((rest, ""));
    let to = Node::list(to.split(',').map(|address| Node::text(decoded(address))));
    let mut map = vec![("type", Node::text(KIND.name)), ("to", to)];
    if !query.is_empty() {
        map.push(("subject", Node::text(decoded(query.strip_prefix("subject=")?))));
    }
    Some(Node::map(map))
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let smtp: Option<SmtpUrl> = fields.optional(
        "smtp",
        "The server: `smtps://USER@HOST`, or `smtp://USER@HOST:587` with STARTTLS. This machine's own if it is left out.",
    );
    let password = fields.optional("password", "The password of the user in `smtp`.");
    let starttls = fields.optional(
        "starttls",
        "Whether `smtp://` must be protected: `required` or `never`; required if it is left out and the server is another machine.",
    );
    let ca: Option<FilePath> =
        fields.optional("ca", "A PEM file of authorities that are trusted in place of the system's.");
    let from: Option<Address> =
        fields.optional("from", "The sender; heartbeat@ and the host's name if it is left out.");
    let to = fields.required::<Addresses>("to", "One address, or a list.");
    let subject = subject(fields);
    let server = match smtp {
        Some(url) => Some(server(fields, url, password, starttls, ca.map(|path| path.0))?),
        None => {
            for key in ["password", "starttls", "ca"] {
                if fields.written(key).is_some() {
                    fields.error(key, format!("`{key}` needs `smtp`, the server that it is for"));
                }
            }
            None
        }
    };
    let form = Form { to: to?.0, subject, body: Body::Details };
    Some(Box::new(Email { server, from: from.map(|address| address.0), form }))
}

/// Reads the key `subject`.
pub(super) fn subject(fields: &mut Fields<'_, '_, '_>) -> Template {
    let default = Template::parse("$message").expect("a template");
    let subject = fields.or("subject", "A line in which `$name` stands for a value.", default);
    refuse_unknown_names(fields, "subject", &subject);
    subject
}

fn server(
    fields: &mut Fields<'_, '_, '_>,
    mut url: SmtpUrl,
    password: Option<Secret>,
    starttls: Option<StartTls>,
    ca: Option<PathBuf>,
) -> Option<Account> {
    if starttls.is_some() && url.implicit_tls {
        fields.error("starttls", "`starttls` is for smtp://: smtps:// is TLS from its first byte");
        return None;
    }
    let credentials = match (url.user.take(), password, url.password.take()) {
        (_, Some(_), Some(_)) => {
            fields.error("password", "there are two passwords: one in `smtp` and one in `password`");
            return None;
        }
        (Some(user), Some(password), None) | (Some(user), None, Some(password)) => Some((user, password)),
        (Some(_), None, None) => {
            fields.error("smtp", "the user in `smtp` needs a `password`");
            return None;
        }
        (None, None, None) => None,
        (None, _, _) => {
            fields.error("smtp", "the password needs a user in `smtp`: smtps://USER@HOST");
            return None;
        }
    };
    let security = match (url.implicit_tls, starttls) {
        (true, _) => Security::Implicit,
        (false, Some(StartTls::Never)) => Security::None,
        (false, None) if url.is_loopback() => Security::None,
        (false, _) => Security::StartTls,
    };
    if matches!(security, Security::None) && credentials.is_some() && !url.is_loopback() {
        let at = fields.span("starttls");
        let problem = Problem::warning(at, format!("{} sends a password unprotected", fields.what()));
        fields.context().problems.push(problem.help("take `starttls: never` away, or use smtps://"));
    }
    Some(Account { host: url.host, port: url.port, security, credentials, ca })
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Security {
    None,
    StartTls,
    Implicit,
}

/// A server with what it takes to use it.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<(String, Secret)>,
    pub(super) ca: Option<PathBuf>,
}

impl Account {
    /// Reads secrets and certificates.
    ///
    /// # Errors
    /// A sentence that names what was expected, what was found and where.
    pub(super) fn build(&self) -> Result<Server, String> {
        let ca = self.ca.as_deref();
        let protection = match self.security {
            Security::None => Protection::None,
            Security::StartTls => Protection::start_tls(&self.host, ca)?,
            Security::Implicit => Protection::Implicit(Tls::new(ca)?),
        };
        let mut cleaner = Cleaner::default();
        let credentials = match &self.credentials {
            Some((user, secret)) => {
                let password = secret.reveal(&env::variable)?;
                cleaner.hide_password(user, &password);
                Some(Credentials::new(user.clone(), password))
            }
            None => None,
        };
        let hello = ClientId::Domain(hostname::hostname());
        let (host, port) = (self.host.clone(), self.port);
        Ok(Server { host, port, protection, credentials, hello, cleaner, done: Mutex::default() })
    }
}

#[derive(Debug)]
struct Email {
    /// `None`: this machine's mail system.
    server: Option<Account>,
    from: Option<Mailbox>,
    form: Form,
}

impl Spec for Email {
    fn target(&self) -> String {
        let to: Vec<_> = self.form.to.iter().map(|mailbox| mailbox.email.to_string()).collect();
        match &self.server {
            Some(account) => format!("{} through {}:{}", to.join(", "), account.host, account.port),
            None => to.join(", "),
        }
    }

    fn build(&self) -> Result<Box<dyn Channel>, String> {
        let from = match &self.from {
            Some(from) => from.clone(),
            None => {
                let address = format!("heartbeat@{}", hostname::hostname());
                address.parse().map_err(|_| format!("{address} is no mail address: set `from`"))?
            }
        };
        let (server, local) = match &self.server {
            Some(account) => (account.build()?, None),
            None => {
                let local = Account {
                    host: "localhost".to_owned(),
                    port: 25,
                    security: Security::None,
                    credentials: None,
                    ca: None,
                };
                (local.build()?, Some(vec![SENDMAIL.into()]))
            }
        };
        Ok(Box::new(Post { server, sendmail: local, from, form: self.form.clone() }))
    }
}

/// Sends mails.
pub(super) struct Post {
    pub(super) server: Server,
    /// What is run if the server cannot be connected to.
    pub(super) sendmail: Option<Vec<OsString>>,
    pub(super) from: Mailbox,
    pub(super) form: Form,
}

impl Post {
    async fn attempt(&self, message: &Message) -> Result<Accepted, Refused> {
        let mail = self.form.write(&self.from, message).map_err(|answer| Refused::ForGood { answer })?;
        let from = &self.from.email;
        let to: Vec<_> = self.form.to.iter().map(|mailbox| &mailbox.email).collect();
        let envelope = Envelope { key: &message.intent.key, from, to: to.clone(), mail: &mail };
        let unreachable = match self.server.send(envelope).await {
            Ok(accepted) => return Ok(accepted),
            Err(Failure::Refused(refused)) => return Err(refused),
            Err(Failure::NoConnection(words)) => self.server.cleaner.clean(&words),
        };
        match &self.sendmail {
            Some(program) => sendmail::send(program, from, &to, &mail).await.map_err(|refused| match refused {
                Refused::ForNow { answer, after } => {
                    Refused::ForNow { answer: format!("{unreachable}; and {answer}; set `smtp`"), after }
                }
                final_ => final_,
            }),
            None => Err(Refused::ForNow { answer: unreachable, after: None }),
        }
    }
}

impl Channel for Post {
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>> {
        Box::pin(self.attempt(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailto_is_a_short_form() {
        let to = |text| {
            let node = short(text)?;
            let items = node.get("to")?.as_list()?.iter().filter_map(|item| item.as_text().map(str::to_owned));
            Some(items.collect::<Vec<_>>())
        };
        assert_eq!(to("mailto:ops@example.org"), Some(vec!["ops@example.org".to_owned()]));
        assert_eq!(to("MAILTO:a%2Bb@x.org,c@x.org").map(|all| all.join(" ")), Some("a+b@x.org c@x.org".to_owned()));
        let subject = short("mailto:a@x.org?subject=It%20is%20$state").and_then(|node| node.get("subject").cloned());
        assert_eq!(subject.as_ref().and_then(Node::as_text), Some("It is $state"));
        for text in ["ops@example.org", "https://example.org", "mailto:a@x.org?bcc=b@x.org"] {
            assert_eq!(to(text), None, "{text}");
        }
    }
}
