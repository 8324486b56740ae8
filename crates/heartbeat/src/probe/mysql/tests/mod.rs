//! The contract of the kind against a real server, and against some that are none.

mod real;
mod strange;

use crate::probe::testing::{decode, refusal, spec};

#[test]
fn is_shown_without_its_login() {
    let decoded = decode("{ url: 'mysql://app:s3cret@Db.example.org/shop', query: SELECT 1 }");
    let check = decoded.spec.expect("right");
    assert_eq!(check.target(), "mysql://Db.example.org/shop");
    assert_eq!(check.address().as_deref(), Some("db.example.org:3306"));
    assert!(!format!("{:?} {check:?}", decoded.shown).contains("s3cret"));
    let socket = spec("url: mariadb://app@/shop?socket=/run/mysqld/mysqld.sock");
    assert_eq!(socket.address().as_deref(), Some("/run/mysqld/mysqld.sock"));
    spec("url: mysql://db?ssl-mode=required");
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("url: mysql:///app", "`mysql:///app` lacks a host: name one, or a socket with `?socket=PATH`"),
        ("url: mysql://db/?ssl-mode=on", "expected one of `DISABLED`, `PREFERRED`, `REQUIRED`"),
        ("url: mysql://db/?sslmode=require", "unknown parameter `sslmode` in `url`: known are `ssl-mode`, `socket`"),
    ] {
        let found = refusal(text);
        assert!(found.contains(said), "{text}: {found}");
    }
}
