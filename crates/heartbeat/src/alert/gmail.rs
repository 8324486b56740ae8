//! `gmail`: mail through Google, with the few keys that an account has.

use std::path::PathBuf;

use super::addresses::{Address, Addresses};
use super::email::{Account, Post, Security, subject};
use super::mail::{Body, Form};
use super::smtp_url::SmtpUrl;
use super::{Channel, Kind, Spec};
use crate::config::Fields;
use crate::config::values::{FilePath, Secret};

/// The line of the table.
pub(super) const KIND: Kind = Kind {
    name: "gmail",
    doc: "Mail through a Gmail account, with an application password.",
    example: "\
type: gmail
sent_from: me@gmail.com
gmail_password: { env: GMAIL_PASSWORD }
to: you@example.org
subject: Heartbeat
",
    short: |_| None,
    decode,
};

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let from = fields.required::<Address>("sent_from", "The account's address.");
    let password = fields.required("gmail_password", "An application password of the account.");
    let to = fields.required::<Addresses>("to", "One address, or a list.");
    let subject = subject(fields);
    let google =
        SmtpUrl { implicit_tls: true, host: "smtp.gmail.com".to_owned(), port: 465, user: None, password: None };
    let smtp = fields.or("smtp", "Where Google's server is.", google);
    let ca: Option<FilePath> =
        fields.optional("ca", "A PEM file of authorities that are trusted in place of the system's.");
    let (from, password, to) = (from?, password?, to?);
    if smtp.user.is_some() || smtp.password.is_some() {
        fields.error("smtp", "the user is `sent_from`, and its password `gmail_password`");
        return None;
    }
    let form = Form { to: to.0, subject, body: Body::Message };
    Some(Box::new(Gmail { from, password, smtp, form, ca: ca.map(|path| path.0) }))
}

#[derive(Debug)]
struct Gmail {
    from: Address,
    password: Secret,
    smtp: SmtpUrl,
    form: Form,
    ca: Option<PathBuf>,
}

impl Spec for Gmail {
    fn target(&self) -> String {
        let to: Vec<_> = self.form.to.iter().map(|mailbox| mailbox.email.to_string()).collect();
        to.join(", ")
    }

    fn build(&self) -> Result<Box<dyn Channel>, String> {
        let account = Account {
            host: self.smtp.host.clone(),
            port: self.smtp.port,
            security: if self.smtp.implicit_tls { Security::Implicit } else { Security::StartTls },
            credentials: Some((self.from.0.email.to_string(), self.password.clone())),
            ca: self.ca.clone(),
        };
        let post =
            Post { server: account.build()?, sendmail: None, from: self.from.0.clone(), form: self.form.clone() };
        Ok(Box::new(post))
    }
}
