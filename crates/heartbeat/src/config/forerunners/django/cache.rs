//! `CACHES['default']` as checks that keep a value under a key of their own, as the app did.

use super::location::Location;
use super::native;
use super::python::{Dict, Expr, Text, Value};
use super::settings::{Settings, Unmapped};
use crate::config::Span;
use crate::config::forerunners::build::Map;

/// Entries that say how Django uses a cache, not how it gets there, and those that are read here.
const ENTRIES: [&str; 7] = ["BACKEND", "KEY_FUNCTION", "KEY_PREFIX", "LOCATION", "OPTIONS", "TIMEOUT", "VERSION"];

/// Options that change nothing of whether a cache can be reached, and those that are read here.
const OPTIONS: [&str; 15] = [
    "COMPRESSOR",
    "CONNECTION_POOL_KWARGS",
    "CULL_FREQUENCY",
    "IGNORE_EXCEPTIONS",
    "MAX_ENTRIES",
    "SERIALIZER",
    "SOCKET_CONNECT_TIMEOUT",
    "SOCKET_TIMEOUT",
    "behaviors",
    "ignore_exc",
    "max_pool_size",
    "no_delay",
    "parser_class",
    "pool_class",
    "use_pooling",
];

/// Options of Redis that are read here. Of several ways to talk to it, one is that of a single server.
const OF_REDIS: [&str; 4] = ["PASSWORD", "password", "db", "CLIENT_CLASS"];
const ONE_SERVER: &str = "django_redis.client.DefaultClient";

/// The servers that we know how to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Memcached,
    Redis,
}

/// The checks of the default cache, one for each server. `asked` is where the app's check stands.
pub(super) fn checks(asked: Span, settings: &mut Settings<'_>) -> Result<Vec<Map>, Unmapped> {
    let cache = settings.default_of("CACHES", "BACKEND", asked)?;
    let family = family(cache.backend).map_err(|why| Unmapped::new(cache.backend_at, why))?;
    settings.tell_unknown(cache.entries, &ENTRIES, "the default cache");
    let options = cache.entries.get("OPTIONS").and_then(|(_, options)| options.as_dict());
    let (mut password, mut database) = (None, None);
    if let Some(options) = options {
        let known = match family {
            Family::Memcached => OPTIONS.to_vec(),
            Family::Redis => [&OPTIONS[..], &OF_REDIS].concat(),
        };
        settings.tell_unknown(options, &known, "the cache's options");
        if family == Family::Redis {
            let written = options.get("PASSWORD").or_else(|| options.get("password"));
            password = written.and_then(|(key, value)| settings.password(key.at, value, "CACHES_DEFAULT_PASSWORD"));
            database = options.get("db").map(|(_, value)| settings.text(value, "CACHES_DEFAULT_DB"));
            if let Some((_, client)) =
                options.get("CLIENT_CLASS").filter(|(_, client)| client.as_plain() != Some(ONE_SERVER))
            {
                let message = "the client is not the one for a single server: the check asks the servers one by one";
                settings.warn(client.at, message, "look whether `url` is a server that can be asked");
            }
        }
    }

    let servers = servers(cache.entries, cache.at, settings)?;
    if let [(first, _), _, ..] = servers.as_slice() {
        let (message, help) = match family {
            Family::Memcached => {
                ("each server becomes a check", "the app asked only one: say with `takedown` whose loss counts")
            }
            Family::Redis => {
                ("each server becomes a check, and only the first is written to", "the others are its replicas")
            }
        };
        settings.warn(*first, message, help);
    }
    let mut maps = Vec::new();
    for (index, (at, text)) in servers.into_iter().enumerate() {
        let location = match family {
            Family::Memcached => Location::memcached(&text),
            Family::Redis => Location::redis(&text, database.as_ref()),
        };
        let Some(location) = location else {
            return Err(Unmapped::new(at, "its `LOCATION` is not understood"));
        };
        if let Some(parameters) = location.left_out {
            let message = format!("`?{parameters}` has no equivalent: it is left out");
            settings.warn(at, message, "look whether the check needs it");
        }
        let own = location.password.map(|password| Expr { at, value: Value::Text(password) });
        let own = own.and_then(|password| settings.password(at, &password, ""));
        let mut map = Map::new(cache.at);
        map.put("url", at, native(&location.url, at));
        if let Some(password) = own.or_else(|| password.clone()) {
            map.put("password", at, password);
        }
        if !location.verify {
            map.word("verify", at, "false");
        }
        if index == 0 || family == Family::Memcached {
            map.word("write", cache.at, "true");
        }
        maps.push(map);
    }
    Ok(maps)
}

/// Others keep the last names of Django's backends, or are where those come from: django_redis, redis_cache.
fn family(backend: &str) -> Result<Family, String> {
    Err(match backend.rsplit('.').next().unwrap_or(backend) {
        "MemcachedCache" | "PyLibMCCache" | "PyMemcacheCache" => return Ok(Family::Memcached),
        "RedisCache" => return Ok(Family::Redis),
        "LocMemCache" | "DummyCache" => {
            "the cache is in Django's own memory, where nobody else sees it; take the check away".to_owned()
        }
        "FileBasedCache" | "DatabaseCache" => {
            "no kind of check asks a cache of files or of tables; check the disk or the database".to_owned()
        }
        _ => format!("no kind of check asks a cache of `{backend}`"),
    })
}

/// The servers of a cache, at least one. Django takes a list, and one text with commas or semicolons between them.
fn servers(cache: &Dict, at: Span, settings: &mut Settings<'_>) -> Result<Vec<(Span, Text)>, Unmapped> {
    /// More than a rack of them is a mistake.
    const MOST: usize = 100;
    let Some((_, value)) = cache.get("LOCATION") else { return Err(Unmapped::new(at, "the cache has no `LOCATION`")) };
    let items = match &value.value {
        Value::List(list) => list.items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut servers = Vec::new();
    for item in items {
        let text = settings.text(item, "CACHES_DEFAULT_LOCATION");
        match text.as_plain() {
            Some(plain) => {
                let parts = plain.split([',', ';']).map(str::trim).filter(|part| !part.is_empty());
                servers.extend(parts.map(|part| (item.at, Text::plain(part))));
            }
            None => servers.push((item.at, text)),
        }
    }
    match servers.len() {
        0 => Err(Unmapped::new(value.at, "the cache names no server")),
        1..=MOST => Ok(servers),
        _ => Err(Unmapped::new(value.at, format!("the cache has more than {MOST} servers"))),
    }
}
