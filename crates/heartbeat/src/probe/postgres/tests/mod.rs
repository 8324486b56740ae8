//! The contract of the kind against the real server, and against some that are none.

mod real;
mod strange;

use crate::probe::testing::{decode, refusal, spec};

#[test]
fn is_shown_without_its_login() {
    let decoded = decode("{ url: 'postgres://app:s3cret@Db.example.org/shop', warn: { latency: 1s } }");
    let check = decoded.spec.expect("right");
    assert_eq!(check.target(), "postgres://Db.example.org/shop");
    assert_eq!(check.address().as_deref(), Some("db.example.org:5432"));
    assert!(!format!("{:?} {check:?}", decoded.shown).contains("s3cret"));
    let values = check.values();
    assert!(values.contains(&("database".to_owned(), "shop".to_owned())), "{values:?}");
    let socket = spec("url: postgresql:///app?host=/run/postgresql");
    assert_eq!(socket.address().as_deref(), Some("/run/postgresql/.s.PGSQL.5432"));
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("url: postgres:///app", "`postgres:///app` lacks a host: name one, or a socket with `?host=PATH`"),
        ("url: postgres://a,b/app", "names several hosts"),
        ("url: postgres://db:0/app", "expected a port from 1 to 65535"),
        ("url: postgres:app", "expected the URL of a database such as"),
        ("url: 'postgres://db/app#x'", "write a `#` in it as `%23`"),
        ("url: 'postgres://db/a%00b'", "found one with a NUL"),
        ("url: postgres://db/?port=x&host=/run", "expected a port from 1 to 65535 for `port`, found `x`"),
        ("url: postgres://db/?sslmode=on", "expected one of `disable`, `allow`, `prefer`, `require`"),
        ("url: postgres://db/?host=db2", "expected an absolute path for `host`"),
        ("url: postgres://db/?sslrootcert=x", "unknown parameter `sslrootcert`"),
        ("url: postgres://db/?password=s3cret", "use the key `password`"),
        ("{ url: 'postgres://a:b@db', password: c }", "a password in its URL and another in `password`"),
        ("{ url: 'postgres://db', query: '' }", "expected SQL"),
        ("{ url: 'postgres://db', expect: { value: 1 } }", "`expect.value` needs a `query`"),
        ("{ url: 'postgres://db', table: x }", "`table` is only for `write: true`"),
        ("{ url: 'postgres://db', write: true, table: 'a b' }", "expected the name of a table"),
        ("{ url: 'postgres://db', verify: false }", "unknown key `verify`"),
    ] {
        let found = refusal(text);
        assert!(found.contains(said), "{text}: {found}");
    }
}
