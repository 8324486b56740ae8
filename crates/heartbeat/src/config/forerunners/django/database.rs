//! `DATABASES['default']` as a check that writes, reads and deletes a row of its own, as the app did.

use super::python::{Dict, Expr, Piece, Text, URL};
use super::settings::{Default, Settings, Unmapped};
use super::{encoded, encoded_path, location, native};
use crate::config::Span;
use crate::config::forerunners::build::{self, Map};

/// Entries that say how Django uses a connection, not how it gets one, and those that are read here.
const ENTRIES: [&str; 14] = [
    "ATOMIC_REQUESTS",
    "AUTOCOMMIT",
    "CONN_HEALTH_CHECKS",
    "CONN_MAX_AGE",
    "DISABLE_SERVER_SIDE_CURSORS",
    "ENGINE",
    "HOST",
    "NAME",
    "OPTIONS",
    "PASSWORD",
    "PORT",
    "TEST",
    "TIME_ZONE",
    "USER",
];

/// Options that change nothing of whether a database can be reached.
const HARMLESS: [&str; 14] = [
    "application_name",
    "autocommit",
    "charset",
    "client_encoding",
    "connect_timeout",
    "init_command",
    "isolation_level",
    "pool",
    "server_side_binding",
    "sql_mode",
    "timeout",
    "transaction_mode",
    "use_unicode",
    "write_timeout",
];

/// A server of databases.
struct Family {
    scheme: &'static str,
    port: &'static str,
    /// The parameter of the URL that names a socket.
    parameter: &'static str,
    /// Debian's socket, or its folder.
    socket: &'static str,
    /// The parameter of the URL for encryption, and the option of the same meaning.
    encryption: (&'static str, &'static str),
    /// Options that are the names of files, and our keys for them.
    files: [(&'static str, &'static str); 3],
}

const POSTGRES: Family = Family {
    scheme: "postgres",
    port: "5432",
    parameter: "host",
    socket: "/var/run/postgresql",
    encryption: ("sslmode", "sslmode"),
    files: [("sslrootcert", "ca"), ("sslcert", "client_certificate"), ("sslkey", "client_key")],
};

const MYSQL: Family = Family {
    scheme: "mysql",
    port: "3306",
    parameter: "socket",
    socket: "/run/mysqld/mysqld.sock",
    encryption: ("ssl-mode", "ssl_mode"),
    // They stand in a dictionary of their own, `ssl`.
    files: [("ca", "ca"), ("cert", "client_certificate"), ("key", "client_key")],
};

/// The check of the default database. `asked` is where the app's check stands.
pub(super) fn check(asked: Span, settings: &mut Settings<'_>) -> Result<Map, Unmapped> {
    let database = settings.default_of("DATABASES", "ENGINE", asked)?;
    // Others build upon Django's engines and keep their last names: django.contrib.gis, django_prometheus.
    let last = database.backend.rsplit('.').next().unwrap_or(database.backend);
    match (last, database.backend) {
        ("postgresql" | "postgresql_psycopg2" | "postgis", _) => Ok(server(&POSTGRES, &database, settings)),
        ("mysql", _) | (_, "mysql.connector.django") => Ok(server(&MYSQL, &database, settings)),
        (_, URL) => Ok(by_url(&database, settings)),
        ("sqlite3" | "spatialite", _) => sqlite(&database, settings),
        _ => {
            let why = format!("no kind of check asks a database of `{}`", database.backend);
            Err(Unmapped::new(database.backend_at, why))
        }
    }
}

/// A database whose URL the environment gives, or a text.
fn by_url(database: &Default<'_>, settings: &mut Settings<'_>) -> Map {
    let at = database.at;
    let mut map = Map::new(at);
    if let Some((_, url)) = database.entries.get(URL) {
        let url = settings.text(url, "DATABASE_URL");
        map.put("url", at, native(&url, at));
        let message = format!("the database is that of a URL: it becomes `{}`", url.native());
        settings.warn(at, message, "see that it begins with `postgres://`, `mysql://` or `sqlite:`");
    }
    map.word("write", at, "true");
    map
}

fn sqlite(database: &Default<'_>, settings: &mut Settings<'_>) -> Result<Map, Unmapped> {
    settings.tell_unknown(database.entries, &ENTRIES, "the default database");
    if let Some(options) = options(database, settings) {
        settings.tell_unknown(options, &HARMLESS, "the database's options");
    }
    let Some((_, name)) = database.entries.get("NAME") else {
        return Err(Unmapped::new(database.at, "the default database has no `NAME`"));
    };
    let path = settings.text(name, "DATABASES_DEFAULT_NAME");
    if matches!(path.as_plain(), Some("" | ":memory:")) {
        let why = "the database is in Django's own memory, where nobody else sees it; take the check away";
        return Err(Unmapped::new(name.at, why));
    }
    settings.tell_relative(&path, name.at);
    let mut url = Text::plain("sqlite:");
    url.append(&path);
    let mut map = Map::new(database.at);
    map.put("url", name.at, native(&url, name.at));
    map.word("write", database.at, "true");
    Ok(map)
}

fn server(family: &Family, database: &Default<'_>, settings: &mut Settings<'_>) -> Map {
    let at = database.at;
    settings.tell_unknown(database.entries, &ENTRIES, "the default database");
    let options = options(database, settings);
    let user = entry("USER", database, settings);
    let name = entry("NAME", database, settings);
    let port = port(family, database, settings);
    let mut parameters = Vec::new();
    let mut authority = if user.is_empty() { String::new() } else { format!("{}@", encoded(&user)) };
    match socket(family, database, options, settings) {
        Ok(path) => {
            parameters.push(format!("{}={}", family.parameter, encoded_path(&path)));
            // The port is part of the name of PostgreSQL's socket.
            if !port.is_empty() && family.scheme == POSTGRES.scheme {
                parameters.push(format!("port={}", encoded(&port)));
            }
        }
        Err(host) => {
            authority.push_str(&location::host(&host));
            if !port.is_empty() {
                authority.push_str(&format!(":{}", encoded(&port)));
            }
        }
    }
    let mut files = Map::new(at);
    if let Some(options) = options {
        let (parameter, option) = family.encryption;
        if let Some((_, value)) = options.get(option) {
            let value = settings.text(value, "DATABASES_DEFAULT_SSL");
            parameters.push(format!("{parameter}={}", encoded(&value)));
        }
        let named = if family.scheme == MYSQL.scheme {
            options.get("ssl").and_then(|(_, ssl)| ssl.as_dict())
        } else {
            Some(options)
        };
        for (option, key) in family.files {
            if let Some((_, value)) = named.and_then(|named| named.get(option)) {
                let path = settings.text(value, &format!("DATABASES_DEFAULT_{}", option.to_uppercase()));
                settings.tell_relative(&path, value.at);
                files.put(key, value.at, native(&path, value.at));
            }
        }
        let own = [option, "unix_socket", "ssl"].into_iter().chain(family.files.map(|(option, _)| option));
        let known: Vec<&str> = own.chain(HARMLESS).collect();
        settings.tell_unknown(options, &known, "the database's options");
    }
    let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
    let mut map = Map::new(at);
    let url = format!("{}://{authority}/{}{query}", family.scheme, encoded(&name));
    map.put("url", at, build::verbatim(url, at));
    if let Some((key, value)) = database.entries.get("PASSWORD")
        && let Some(password) = settings.password(key.at, value, "DATABASES_DEFAULT_PASSWORD")
    {
        map.put("password", key.at, password);
    }
    map.extend(files);
    map.word("write", at, "true");
    map
}

/// An entry as text, empty if it is absent.
fn entry(name: &str, database: &Default<'_>, settings: &mut Settings<'_>) -> Text {
    match database.entries.get(name) {
        Some((_, value)) => settings.text(value, &format!("DATABASES_DEFAULT_{name}")),
        None => Text::default(),
    }
}

fn options<'a>(database: &Default<'a>, settings: &mut Settings<'_>) -> Option<&'a Dict> {
    let (_, options) = database.entries.get("OPTIONS")?;
    let found = options.as_dict();
    if found.is_none() {
        let message = format!("expected a dictionary, found {}: the options are left out", options.describe());
        settings.warn(options.at, message, "look whether the check needs them");
    }
    found
}

/// The port, empty if it is the usual one. Where the environment may be silent about it, that one stands in.
fn port(family: &Family, database: &Default<'_>, settings: &mut Settings<'_>) -> Text {
    let port = entry("PORT", database, settings);
    match port.pieces() {
        [Piece::Variable { name, default: Some(default), origin }] if default.is_empty() => {
            Text::variable(name.clone(), Some(family.port.into()), *origin)
        }
        _ => port,
    }
}

/// The path of the socket, or else the host.
fn socket(
    family: &Family,
    database: &Default<'_>,
    options: Option<&Dict>,
    settings: &mut Settings<'_>,
) -> Result<Text, Text> {
    let host = entry("HOST", database, settings);
    let at = database.entries.get("HOST").map_or(database.at, |(_, host): (&Expr, &Expr)| host.at);
    if let Some((_, path)) = options.and_then(|options| options.get("unix_socket")) {
        return Ok(settings.text(path, "DATABASES_DEFAULT_SOCKET"));
    }
    match host.pieces() {
        [] => {
            let message = format!("without `HOST` it is a socket of this machine: taken to be {}", family.socket);
            settings.warn(at, message, "correct `url` if it is elsewhere");
            Ok(Text::plain(family.socket))
        }
        [Piece::Plain(path), ..] if path.starts_with('/') => Ok(host),
        [Piece::Variable { name, default: Some(default), origin }] if default.is_empty() => {
            let message = format!("without the variable `{name}` it was a socket of this machine: now it must be set");
            settings.warn(at, message, &format!("for a socket, write `?{}=PATH` behind `url`", family.parameter));
            Err(Text::variable(name.clone(), None, *origin))
        }
        _ => Err(host),
    }
}
