//! Against MariaDB itself.

use heartbeat_core::outcome::Fault;

use crate::probe::database::suite;
use crate::probe::testing::authority::Authority;
use crate::probe::testing::process::eventually;
use crate::probe::testing::servers::{MariaDb, open_sockets};
use crate::probe::testing::{fails, passes, times_out};

const USERS: &str = "\
CREATE DATABASE shop;
CREATE USER app IDENTIFIED BY 's3cret word'; GRANT ALL ON shop.* TO app;
CREATE USER trusted; GRANT ALL ON shop.* TO trusted;
CREATE USER reader; GRANT SELECT ON shop.* TO reader;
CREATE USER encrypted REQUIRE SSL; GRANT ALL ON shop.* TO encrypted;";

async fn server(options: &[&str]) -> MariaDb {
    let server = MariaDb::start(options, None).await;
    server.sql(USERS);
    server
}

/// The check of a user, with more keys.
fn check(server: &MariaDb, user: &str, keys: &str) -> String {
    format!("{{ url: 'mysql://{user}@127.0.0.1:{}/shop', {keys} }}", server.port)
}

#[tokio::test]
async fn a_server_that_is_well() {
    let server = server(&[]).await;
    logins(&server).await;
    queries(&server).await;
    writes(&server).await;
    nothing_is_left(&server).await;
}

async fn logins(server: &MariaDb) {
    let report = passes(&check(server, "app", "password: 's3cret word'")).await;
    assert!(report.phases.connect.is_some() && report.phases.first_byte.is_some() && report.phases.tls.is_none());
    let at = |rest: &str| format!("url: 'mariadb://{rest}'");
    passes(&at(&format!("app:s3cret%20word@127.0.0.1:{}", server.port))).await;
    passes(&at(&format!("app:s3cret%20word@/shop?socket={}", server.socket().display()))).await;
    passes(&check(server, "trusted", "")).await;
    for (keys, using) in [("password: 'n0t this'", "YES"), ("", "NO")] {
        let wrong = fails(&check(server, "app", keys), Fault::Status).await;
        let said = format!("Access denied for user 'app'@'127.0.0.1' (using password: {using}) (1045)");
        assert_eq!(wrong, format!("the login was refused: {said}"));
    }
    let nowhere = fails(&at(&format!("trusted@127.0.0.1:{}/nowhere", server.port)), Fault::Status).await;
    assert!(nowhere.contains("the login was refused: ") && nowhere.contains("'nowhere'"), "{nowhere}");
    let insisting = at(&format!("trusted@127.0.0.1:{}/shop?ssl-mode=REQUIRED", server.port));
    assert_eq!(fails(&insisting, Fault::Tls).await, "the server speaks no TLS, and the URL insists on it");
    server.sql("INSTALL SONAME 'auth_ed25519'; CREATE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('x')");
    let curve = fails(&check(server, "ed", "password: x"), Fault::Protocol).await;
    assert_eq!(curve, "the server wants a login by the plugin `client_ed25519`, which heartbeat does not speak");
    server.is_alone().await;
    assert_eq!(server.sql("SHOW GLOBAL STATUS LIKE 'Aborted_clients'"), "Aborted_clients\t0");
}

#[tokio::test]
async fn encryption() {
    let authority = Authority::new();
    let server = MariaDb::start(&[], Some(&authority.issue(&["db.example.org"]))).await;
    server.sql(USERS);
    let ca = format!("ca: '{}'", authority.ca().display());
    let with = |user: &str, mode: &str, keys: &str| {
        format!("{{ url: 'mysql://{user}@127.0.0.1:{}/shop?ssl-mode={mode}', {keys} }}", server.port)
    };
    const CIPHER: &str = "query: \"SELECT variable_value <> '' FROM information_schema.session_status \
                          WHERE variable_name = 'Ssl_cipher'\", expect:";
    for (user, mode, encrypted) in [
        ("trusted", "DISABLED", 0),
        ("trusted", "PREFERRED", 1),
        ("trusted", "REQUIRED", 1),
        ("encrypted", "PREFERRED", 1),
    ] {
        let report = passes(&with(user, mode, &format!("{CIPHER} {{ value: {encrypted} }}"))).await;
        assert_eq!(report.phases.tls.is_some(), encrypted == 1, "{user} {mode}");
    }
    passes(&with("app", "REQUIRED", "password: 's3cret word'")).await;
    fails(&with("encrypted", "DISABLED", ""), Fault::Status).await;
    passes(&with("trusted", "VERIFY_CA", &ca)).await;
    passes(&with("trusted", "VERIFY_IDENTITY", &format!("{ca}, server_name: db.example.org"))).await;
    let named = fails(&with("trusted", "VERIFY_IDENTITY", &ca), Fault::Certificate).await;
    assert_eq!(named, "the server's certificate is not for 127.0.0.1 but for db.example.org");
    fails(&with("trusted", "VERIFY_CA", ""), Fault::Certificate).await;
    fails(&with("trusted", "PREFERRED", "expect: { certificate: 5000000d }"), Fault::Certificate).await;
    server.is_alone().await;
}

async fn queries(server: &MariaDb) {
    let ask = |sql: &str, keys: &str| check(server, "trusted", &format!("query: \"{sql}\", {keys}"));
    passes(&ask("CREATE PROCEDURE two() BEGIN SELECT 5, 6; SELECT 7; END", "")).await;
    for (sql, value) in [
        ("SELECT 1", "1"),
        ("SELECT 1.50, 'x'", "1.50"),
        ("SELECT 'a' UNION SELECT 'b';", "a"),
        ("SELECT @@version", &server.sql("SELECT @@version")),
        ("CALL two()", "5"),
        ("SELECT 'ö' -- a comment", "ö"),
        ("SELECT repeat('x', 300)", &"x".repeat(300)),
    ] {
        passes(&ask(sql, &format!("expect: {{ value: '{value}' }}"))).await;
    }
    for (sql, reason) in [
        ("SELECT 2", "the query returned `2`, expected `1`"),
        ("SELECT NULL", "the query returned NULL, expected `1`"),
        ("SELECT 1 FROM dual WHERE false", "the query returned no row, expected `1`"),
        ("DO 1", "the query returned no row, expected `1`"),
    ] {
        assert_eq!(fails(&ask(sql, "expect: { value: 1 }"), Fault::Body).await, reason);
    }
    passes(&ask("SELECT NULL", "")).await;
    for (sql, reason) in [
        ("SELECT * FROM nothing", "the query failed: Table 'shop.nothing' doesn't exist (1146)"),
        ("SELEC", "the query failed: You have an error in your SQL syntax"),
        ("SELECT 1; SELECT 2", "the query failed: You have an error in your SQL syntax"),
        ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t", "the query failed: "),
    ] {
        let found = fails(&ask(sql, ""), Fault::Status).await;
        assert!(found.starts_with(reason), "{sql}: {found}");
    }
    let endless = fails(&ask("SELECT repeat('x', 1000), seq FROM seq_1_to_100000", ""), Fault::Body).await;
    assert_eq!(endless, "the server said more than 1024 KiB: let the query return less");
    fails(&ask("SELECT repeat('x', 15000000)", ""), Fault::Body).await;
    fails(&ask("SELECT sleep(0.1)", "expect: { latency: 50ms }"), Fault::Latency).await;
    server.is_alone().await;
}

async fn writes(server: &MariaDb) {
    let text = check(server, "trusted", "write: true");
    fails(&check(server, "reader", "write: true"), Fault::Status).await;
    // Two nodes that have never been here make the table at once and never meet in it.
    suite::write_together(&text).await;
    assert_eq!(server.sql("SELECT count(*) FROM shop.heartbeat"), "0");
    // What the dead left behind goes, what the living have just written stays.
    server.sql("INSERT INTO shop.heartbeat VALUES ('heartbeat:a:1', 'x', now() - interval 2 hour), ('b', 'x', now())");
    passes(&text).await;
    assert_eq!(server.sql("SELECT id FROM shop.heartbeat"), "b");
    passes(&check(server, "trusted", "write: true, table: shop.Select")).await;
    assert_eq!(server.sql("SELECT count(*) FROM shop.`Select`"), "0");
    server.sql("SET GLOBAL read_only = on");
    let read_only = fails(&text, Fault::Status).await;
    assert!(read_only.starts_with("writing a row failed: ") && read_only.ends_with("(1290)"), "{read_only}");
}

#[tokio::test]
async fn a_server_in_trouble() {
    let mut server = server(&["--max-connections=10"]).await;
    let text = check(&server, "trusted", "");
    let held = suite::hold(10, &check(&server, "trusted", "query: 'SELECT sleep(600)'"));
    const ASLEEP: &str = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'";
    eventually("all connections are taken", || (server.sql(ASLEEP) == "10").then_some(())).await;
    assert_eq!(fails(&text, Fault::Status).await, "the login was refused: Too many connections (1040)");
    held.iter().for_each(|task| task.abort());
    server.sql("KILL USER trusted");
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
    let socket = format!("url: 'mysql://trusted@/shop?socket={}'", server.socket().display());
    assert!(fails(&socket, Fault::Refused).await.ends_with("refused: nobody listens there any more"));
}

async fn nothing_is_left(server: &MariaDb) {
    let before = open_sockets();
    let endless = check(server, "trusted", "query: 'SELECT sleep(600)'");
    suite::come_and_go(&check(server, "trusted", ""), &endless).await;
    // Unlike a sleep, this is so busy that it does not see its client go.
    times_out(&check(server, "trusted", "query: \"SELECT benchmark(100000000000, md5('x'))\"")).await;
    server.is_alone().await;
    assert_eq!(open_sockets(), before);
}
