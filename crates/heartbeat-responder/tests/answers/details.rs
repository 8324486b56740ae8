//! Who sees reasons.

use super::wire::{ask, get, wait_for_status};
use super::world::World;
use super::{STATUS, TOKEN};
use crate::subject;

#[test]
fn reasons_are_for_those_who_may_know() {
    let world = World::new();
    let subject = subject::start(&world);
    wait_for_status(&subject, STATUS, 200);
    world.take_database_away();
    wait_for_status(&subject, STATUS, 503);
    let reason = subject::no_database(&world);
    let formats = ["services", "health+json", "microprofile", "json"];
    let proxies = ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: ::1", "Via: 1.1 proxy"];
    for format in formats {
        let path = format!("{STATUS}?format={format}");
        assert!(get(&subject, &path).body.contains(&reason), "{format} to somebody on this machine");
        for proxy in proxies {
            let sees = |lines: String| ask(&subject, &path, &lines).body.contains(&reason);
            assert!(!sees(format!("{proxy}\r\n")), "{format} to a stranger: {proxy}");
            assert!(sees(format!("{proxy}\r\nAuthorization: Bearer {TOKEN}\r\n")), "{format} to one with the token");
            for wrong in ["Bearer ", "Bearer sesam", "Bearer sesamee", "Bearer SESAME", "Basic sesame", TOKEN] {
                assert!(!sees(format!("{proxy}\r\nAuthorization: {wrong}\r\n")), "{format} with {wrong:?}");
            }
        }
    }
    assert_eq!(get(&subject, "/readyz").body, "Fail: down: database");
    assert_eq!(ask(&subject, "/readyz", &format!("{}\r\n", proxies[0])).body, "Fail");
}
