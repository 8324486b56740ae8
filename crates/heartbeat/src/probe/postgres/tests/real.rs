//! Against PostgreSQL itself.

use heartbeat_core::outcome::{Fault, Verdict};

use crate::probe::database::suite;
use crate::probe::testing::authority::{Authority, self_signed};
use crate::probe::testing::process::eventually;
use crate::probe::testing::servers::{Postgres, open_sockets};
use crate::probe::testing::{fails, passes, probe, times_out};

const HBA: &str = "\
hostssl   all encrypted 127.0.0.1/32 trust
hostnossl all plain     127.0.0.1/32 trust
host      all trusted   127.0.0.1/32 trust
host      all clear     127.0.0.1/32 password
host      all md5       127.0.0.1/32 md5
host      all app       127.0.0.1/32 scram-sha-256";

const ROLES: &str = "\
CREATE ROLE encrypted LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE trusted LOGIN; GRANT CREATE ON SCHEMA public TO trusted;
CREATE ROLE clear LOGIN PASSWORD 's3cret word'; CREATE ROLE app LOGIN PASSWORD 's3cret word';
SET password_encryption = md5; CREATE ROLE md5 LOGIN PASSWORD 's3cret word'; CREATE ROLE reader LOGIN";

async fn server(options: &[&str]) -> Postgres {
    let server = Postgres::start(HBA, options).await;
    server.sql(ROLES);
    server
}

/// The check of a user, with more keys.
fn check(server: &Postgres, user: &str, keys: &str) -> String {
    format!("{{ url: 'postgres://{user}@127.0.0.1:{}/postgres', {keys} }}", server.port)
}

#[tokio::test]
async fn a_server_that_is_well() {
    let server = server(&[]).await;
    logins(&server).await;
    queries(&server).await;
    writes(&server).await;
    nothing_is_left(&server).await;
}

async fn logins(server: &Postgres) {
    for user in ["app", "md5", "clear"] {
        let report = passes(&check(server, user, "password: 's3cret word'")).await;
        assert!(report.phases.connect.is_some() && report.phases.first_byte.is_some() && report.phases.tls.is_none());
        let wrong = fails(&check(server, user, "password: 'n0t this'"), Fault::Status).await;
        let said = format!("the login was refused: password authentication failed for user \"{user}\" (28P01)");
        assert_eq!(wrong, said);
        let missing = fails(&check(server, user, ""), Fault::Status).await;
        assert_eq!(missing, format!("the server wants a password of `{user}`: set `password`"));
    }
    passes(&format!("url: 'postgres://app:s3cret%20word@127.0.0.1:{}/postgres'", server.port)).await;
    passes(&format!("url: 'postgres://trusted@127.0.0.1:{}/postgres?application_name=x'", server.port)).await;
    let nowhere = fails(&format!("url: 'postgres://trusted@127.0.0.1:{}/nowhere'", server.port), Fault::Status).await;
    assert_eq!(nowhere, "the login was refused: database \"nowhere\" does not exist (3D000)");
    let stranger = fails(&check(server, "stranger", ""), Fault::Status).await;
    assert!(
        stranger.starts_with("the login was refused: no pg_hba.conf entry for host") && stranger.ends_with("(28000)")
    );
    let folder = server.folder().display();
    passes(&format!("url: 'postgres://app@/postgres?host={folder}&port={}'", server.port)).await;
    passes(&format!("url: 'postgres://app@{}:{}/postgres'", folder.to_string().replace('/', "%2F"), server.port)).await;
    server.is_alone().await;
    assert!(!server.log().contains("unexpected EOF"), "{}", server.log());
}

#[tokio::test]
async fn encryption() {
    let server = server(&[]).await;
    let with = |user: &str, mode: &str, keys: &str| {
        format!("{{ url: 'postgres://{user}@127.0.0.1:{}/postgres?sslmode={mode}', {keys} }}", server.port)
    };
    passes(&with("trusted", "prefer", "")).await;
    let none = fails(&with("trusted", "require", ""), Fault::Tls).await;
    assert_eq!(none, "the server speaks no TLS, and the URL insists on it");
    let wanted = fails(&with("trusted", "disable", "expect: { certificate: 1d }"), Fault::Certificate).await;
    assert_eq!(wanted, "the connection is not encrypted, expected a certificate");

    let authority = Authority::new();
    let ca = format!("ca: '{}'", authority.ca().display());
    server.speak_tls(&authority.issue(&["db.example.org"])).await;
    for (user, mode, encrypted) in [
        ("trusted", "disable", false),
        ("trusted", "allow", false),
        ("trusted", "prefer", true),
        ("trusted", "require", true),
        ("encrypted", "allow", true),
        ("encrypted", "prefer", true),
        ("plain", "prefer", false),
        ("plain", "allow", false),
    ] {
        let keys = "query: SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid(), expect: { value: ";
        let report = passes(&with(user, mode, &format!("{keys}{} }}", if encrypted { 't' } else { 'f' }))).await;
        assert!(report.phases.tls.is_some() || !encrypted, "{user} {mode}");
    }
    fails(&with("encrypted", "disable", ""), Fault::Status).await;
    fails(&with("plain", "require", ""), Fault::Status).await;

    passes(&with("trusted", "verify-ca", &ca)).await;
    passes(&with("trusted", "verify-full", &format!("{ca}, server_name: db.example.org"))).await;
    passes(&with("trusted", "verify-full", &format!("{ca}, server_name: db.example.org, warn: {{ certificate: 1d }}")))
        .await;
    let named = fails(&with("trusted", "verify-full", &ca), Fault::Certificate).await;
    assert_eq!(named, "the server's certificate is not for 127.0.0.1 but for db.example.org");
    // Whoever names an authority wants it all, unless he says otherwise.
    fails(&check(&server, "trusted", &ca), Fault::Certificate).await;
    fails(&with("trusted", "verify-ca", ""), Fault::Certificate).await;
    let report = probe(&with("trusted", "require", &format!("{ca}, warn: {{ certificate: 5000000d }}"))).await;
    assert_eq!(report.outcome.verdict, Verdict::Warn);

    server.speak_tls(&self_signed(&["127.0.0.1"])).await;
    let strange = |mode| with("trusted", mode, &ca);
    passes(&with("trusted", "require", "")).await;
    fails(&strange("require"), Fault::Certificate).await;
    fails(&strange("verify-ca"), Fault::Certificate).await;
}

async fn queries(server: &Postgres) {
    let ask = |sql: &str, keys: &str| check(server, "trusted", &format!("query: \"{sql}\", {keys}"));
    for (sql, value) in [
        ("SELECT 1", "1"),
        ("SELECT 1.50::numeric, 'x'", "1.50"),
        ("SELECT true -- a comment", "t"),
        ("VALUES ('a'), ('b');", "a"),
        ("SHOW server_version_num", &server.sql("SHOW server_version_num")),
        ("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (7); SELECT * FROM t", "7"),
        ("SELECT $$ö$$", "ö"),
    ] {
        passes(&ask(sql, &format!("expect: {{ value: '{value}' }}"))).await;
    }
    for (sql, reason) in [
        ("SELECT 2", "the query returned `2`, expected `1`"),
        ("SELECT NULL", "the query returned NULL, expected `1`"),
        ("SELECT 1 WHERE false", "the query returned no row, expected `1`"),
        ("SELECT", "the query returned no row, expected `1`"),
        ("SELECT repeat('x', 1000)", &format!("the query returned `{}…`, expected `1`", "x".repeat(80))),
    ] {
        assert_eq!(fails(&ask(sql, "expect: { value: 1 }"), Fault::Body).await, reason);
    }
    passes(&ask("SELECT NULL", "")).await;
    passes(&ask("CREATE TEMP TABLE t (a int)", "")).await;
    for (sql, reason) in [
        ("SELECT * FROM nothing", "the query failed: relation \"nothing\" does not exist (42P01)"),
        ("SELECT 1/(1-x) FROM generate_series(0, 1) x", "the query failed: division by zero (22012)"),
        ("SELEC", "the query failed: syntax error at or near \"SELEC\" (42601)"),
        ("SELECT 'open", "the query failed: unterminated quoted string"),
        ("CREATE TEMP TABLE t (a int); COPY t FROM STDIN", "the query failed: COPY from stdin failed"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "the server ended the session: terminating connection"),
    ] {
        let found = fails(&ask(sql, ""), Fault::Status).await;
        assert!(found.starts_with(reason), "{sql}: {found}");
    }
    passes(&ask("COPY (SELECT 1) TO STDOUT", "")).await;
    let endless = fails(&ask("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)", ""), Fault::Body).await;
    assert_eq!(endless, "the server said more than 1024 KiB: let the query return less");
    fails(&ask("SELECT repeat('x', 100000000)", ""), Fault::Body).await;
    fails(&ask("SELECT pg_sleep(0.1)", "expect: { latency: 50ms }"), Fault::Latency).await;
    server.is_alone().await;
}

async fn writes(server: &Postgres) {
    let write = |user: &str, keys: &str| check(server, user, &format!("write: true, {keys}"));
    let refused = fails(&check(server, "plain", "write: true"), Fault::Status).await;
    let said = "the table `heartbeat` is missing and cannot be created: permission denied for schema public (42501)";
    assert_eq!(refused, said);
    // Two nodes that have never been here make the table at once and never meet in it.
    let text = write("trusted", "");
    suite::write_together(&text).await;
    assert_eq!(server.sql("SELECT count(*) FROM heartbeat"), "0");
    // What the dead left behind goes, what the living have just written stays.
    server.sql("INSERT INTO heartbeat VALUES ('heartbeat:a:1', 'x', now() - interval '2 hours'), ('b', 'x', now())");
    passes(&text).await;
    assert_eq!(server.sql("SELECT id FROM heartbeat"), "b");
    server.sql("CREATE SCHEMA own; GRANT ALL ON SCHEMA own TO trusted");
    passes(&write("trusted", "table: own.Select")).await;
    assert_eq!(server.sql("SELECT count(*) FROM own.\"Select\""), "0");
    server.sql("ALTER ROLE trusted SET default_transaction_read_only = on");
    let read_only = fails(&text, Fault::Status).await;
    assert_eq!(read_only, "writing a row failed: cannot execute INSERT in a read-only transaction (25006)");
}

#[tokio::test]
async fn a_server_in_trouble() {
    let mut server = server(&["max_connections=6", "superuser_reserved_connections=3"]).await;
    let text = check(&server, "trusted", "");
    let held = suite::hold(3, &check(&server, "trusted", "query: 'SELECT pg_sleep(600)'"));
    const ASLEEP: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("all connections are taken", || (server.sql(ASLEEP) == "3").then_some(())).await;
    let full = fails(&text, Fault::Status).await;
    assert!(full.starts_with("the login was refused: ") && full.ends_with("(53300)"), "{full}");
    held.iter().for_each(|task| task.abort());
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    server.is_alone().await;

    server.process.stop();
    assert_eq!(times_out(&text).await, "timed out after 300ms while waiting for the first byte");
    server.process.go_on();
    passes(&text).await;

    server.process.end();
    // What it has started may hold its port for a moment longer.
    let connects = || std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok();
    eventually("nobody listens", || (!connects()).then_some(())).await;
    let gone = fails(&text, Fault::Refused).await;
    assert_eq!(gone, format!("connection to 127.0.0.1:{} refused", server.port));
    let folder = server.folder().display();
    let socket = fails(&format!("url: 'postgres://trusted@/postgres?host={folder}/no'"), Fault::Refused).await;
    assert_eq!(socket, format!("there is no socket {folder}/no/.s.PGSQL.5432: is the server running?"));
}

async fn nothing_is_left(server: &Postgres) {
    let before = open_sockets();
    let endless = check(server, "trusted", "query: 'SELECT pg_sleep(600)'");
    suite::come_and_go(&check(server, "trusted", ""), &endless).await;
    server.is_alone().await;
    assert_eq!(open_sockets(), before);
}
