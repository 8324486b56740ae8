//! What becomes of each engine, each backend and each setting of mail.

use super::{convert, recognise};
use crate::config::{Node, Problems};

/// The converted tree, and what was said.
fn converted(text: &str) -> (Node, String) {
    let mut problems = Problems::default();
    let source = problems.add_source("settings.py", text);
    let node = convert(source, text, &mut problems).map(|converted| converted.node);
    (node.unwrap_or_else(|| panic!("{text}\n{}", problems.render())), problems.render())
}

/// A part of a tree on one line.
fn shown(node: &Node) -> String {
    if let Some(entries) = node.as_map() {
        let entries: Vec<_> = entries.iter().map(|(key, node)| format!("{}={}", key.name, shown(node))).collect();
        return format!("{{{}}}", entries.join(" "));
    }
    match node.as_list() {
        Some(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        None => node.as_text().unwrap_or("null").to_owned(),
    }
}

/// What is probed by the checks of an entry whose class is the app's own, and what is said about it.
fn probed(class: &str, settings: &str) -> (String, String) {
    let (node, said) =
        converted(&format!("{settings}\nHEARTBEAT = {{'it': {{'class': 'heartbeat.heartbeats.{class}'}}}}\n"));
    let checks = node.get("checks").and_then(Node::as_map).expect("checks");
    let probed = checks.iter().map(|(_, check)| {
        let own = check.as_map().expect("a map").iter();
        let own = own.filter(|(key, _)| !matches!(&*key.name, "takedown" | "alerts" | "write"));
        own.map(|(key, node)| format!("{}={}", key.name, shown(node))).collect::<Vec<_>>().join(" ")
    });
    (probed.collect::<Vec<_>>().join(", "), said.replace("there is no flag: `heartbeat down` and `up` need one", ""))
}

#[test]
fn every_engine_has_its_url() {
    for (settings, expected, said) in [
        ("'ENGINE': 'django.db.backends.postgresql', 'HOST': 'h', 'NAME': 'n'", "url=postgres://h/n", ""),
        (
            "'ENGINE': 'django.db.backends.postgresql_psycopg2', 'HOST': '::1', 'PORT': '5', 'NAME': 'a/b', 'USER': 'u@v'",
            "url=postgres://u%40v@[::1]:5/a%2Fb",
            "",
        ),
        (
            "'ENGINE': 'django_prometheus.db.backends.postgresql', 'HOST': '/run/pg', 'PORT': 5433, 'USER': 'u', 'NAME': 'n'",
            "url=postgres://u@/n?host=/run/pg&port=5433",
            "",
        ),
        (
            "'ENGINE': 'django.db.backends.postgresql', 'NAME': 'n', 'OPTIONS': {'sslmode': 'require', 'sslcert': '/c', 'sslkey': '/k'}",
            "url=postgres:///n?host=/var/run/postgresql&sslmode=require client_certificate=/c client_key=/k",
            "taken to be /var/run/postgresql",
        ),
        (
            "'ENGINE': 'postgresql', 'HOST': env('H', default=''), 'PORT': env('P', default=''), 'NAME': 'n'",
            "url=postgres://${H}:${P:-5432}/n",
            "now it must be set",
        ),
        ("'ENGINE': 'django.db.backends.mysql', 'HOST': '127.0.0.1', 'NAME': 'n'", "url=mysql://127.0.0.1/n", ""),
        (
            "'ENGINE': 'mysql.connector.django', 'HOST': '/s/my.sock', 'PORT': '', 'NAME': 'n', 'USER': 'u'",
            "url=mysql://u@/n?socket=/s/my.sock",
            "",
        ),
        (
            "'ENGINE': 'django.db.backends.mysql', 'NAME': 'n', 'OPTIONS': {'unix_socket': '/t.sock', 'ssl_mode': 'REQUIRED'}",
            "url=mysql:///n?socket=/t.sock&ssl-mode=REQUIRED",
            "",
        ),
        ("'ENGINE': 'django.db.backends.sqlite3', 'NAME': '/srv/$db'", "url=sqlite:/srv/$$db", ""),
        ("'ENGINE': 'django.contrib.gis.db.backends.spatialite', 'NAME': BASE / 'a'", "url=sqlite:${BASE}/a", "`BASE`"),
        ("'ENGINE': 'postgresql', 'HOST': 'h', 'PASSWORD': 'p$1'", "url=postgres://h/ password=p$$1", "stands open"),
        ("'ENGINE': 'postgresql', 'HOST': 'h', 'PASSWORD': env('P')", "url=postgres://h/ password={env=P}", ""),
        (
            "'ENGINE': 'postgresql', 'HOST': 'h', 'PASSWORD': env('P', default='')",
            "url=postgres://h/ password={env=P}",
            "",
        ),
        (
            "'ENGINE': 'postgresql', 'HOST': 'h', 'PASSWORD': env('P', default='dev')",
            "url=postgres://h/ password=${P:-dev}",
            "stands open",
        ),
        (
            "'ENGINE': 'postgresql', 'HOST': 'h', 'PASSWORD': SECRET",
            "url=postgres://h/ password={env=SECRET}",
            "`SECRET`",
        ),
        (
            "'ENGINE': 'postgresql', 'HOST': 'h', 'PASSWORD': read('/p')",
            "url=postgres://h/ password={env=DATABASES_DEFAULT_PASSWORD}",
            "a call of `read`",
        ),
        (
            "'ENGINE': 'postgresql', 'HOST': hosts[0], 'NAME': 'n'",
            "url=postgres://${DATABASES_DEFAULT_HOST}/n",
            "it becomes `${DATABASES_DEFAULT_HOST}`",
        ),
    ] {
        let (found, told) = probed("Db", &format!("DATABASES = {{'default': {{{settings}}}}}"));
        assert_eq!(found, expected, "{settings}\n{told}");
        assert!(
            if said.is_empty() { !told.contains("settings.py:1:") } else { told.contains(said) },
            "{settings}\n{told}"
        );
    }
}

#[test]
fn a_database_may_be_given_as_a_url() {
    for (value, url) in [
        ("env.db()", "url=${DATABASE_URL}"),
        ("env.db('SHOP_URL', default='postgres://h/n')", "url=${SHOP_URL:-postgres://h/n}"),
        ("dj_database_url.config(conn_max_age=600)", "url=${DATABASE_URL}"),
        ("dj_database_url.parse('mysql://u:p$w@h/n')", "url=mysql://u:p$$w@h/n"),
    ] {
        let (found, told) = probed("Db", &format!("DATABASES = {{'default': {value}}}"));
        assert_eq!(found, url, "{told}");
        assert!(told.contains("the database is that of a URL") && !told.contains("p$w"), "{told}");
    }
}

#[test]
fn every_backend_has_its_url() {
    const MEMCACHED: &str = "django.core.cache.backends.memcached.PyMemcacheCache";
    const REDIS: &str = "django.core.cache.backends.redis.RedisCache";
    for (backend, settings, expected, said) in [
        (MEMCACHED, "'LOCATION': '127.0.0.1:11211'", "url=memcached://127.0.0.1:11211", ""),
        ("django.core.cache.backends.memcached.PyLibMCCache", "'LOCATION': '/s'", "url=memcached+unix:///s", ""),
        ("django.core.cache.backends.memcached.MemcachedCache", "'LOCATION': 'unix:/s'", "url=memcached+unix:///s", ""),
        (MEMCACHED, "'LOCATION': ['a:1', 'b:2']", "url=memcached://a:1, url=memcached://b:2", "each server becomes"),
        (
            MEMCACHED,
            "'LOCATION': 'a:1;b:2,c:3'",
            "url=memcached://a:1, url=memcached://b:2, url=memcached://c:3",
            "each",
        ),
        (MEMCACHED, "'LOCATION': HOST + ':1'", "url=memcached://${HOST}:1", "`HOST`"),
        (REDIS, "'LOCATION': 'redis://127.0.0.1:6379'", "url=redis://127.0.0.1:6379", ""),
        (REDIS, "'LOCATION': 'redis://u:p%20w@h:1/2'", "url=redis://u@h:1/2 password=p w", "stands open"),
        (REDIS, "'LOCATION': 'redis://u@h/2'", "url=redis://h/2", ""),
        (REDIS, "'LOCATION': 'rediss://h:1/?db=3&ssl_cert_reqs=none'", "url=rediss://h:1/3 verify=false", ""),
        (
            REDIS,
            "'LOCATION': 'redis://h', 'OPTIONS': {'db': '10', 'password': env('P')}",
            "url=redis://h/10 password={env=P}",
            "",
        ),
        (REDIS, "'LOCATION': 'redis://h', 'OPTIONS': {'db': env('D')}", "url=redis://h/${D}", ""),
        (REDIS, "'LOCATION': 'redis://h/1', 'OPTIONS': {'db': 2}", "url=redis://h/1", ""),
        (REDIS, "'LOCATION': HOST, 'OPTIONS': {'db': 2}", "url=${HOST}", "`HOST`"),
        (REDIS, "'LOCATION': HOST + ':6379', 'OPTIONS': {'db': 2}", "url=redis://${HOST}:6379/2", "`HOST`"),
        (REDIS, "'LOCATION': 'unix:///s?db=1'", "url=redis+unix:///s?db=1", ""),
        (REDIS, "'LOCATION': 'unix://:pw@/s'", "url=redis+unix:///s password=pw", "stands open"),
        (
            REDIS,
            "'LOCATION': ['redis://a', 'redis://b']",
            "url=redis://a, url=redis://b",
            "only the first is written to",
        ),
        (REDIS, "'LOCATION': env('REDIS_URL')", "url=${REDIS_URL}", ""),
        (REDIS, "'LOCATION': env('R', default='redis://h:1/0')", "url=${R:-redis://h:1/0}", ""),
        (REDIS, "'LOCATION': 'redis://' + env('H') + ':6379/0'", "url=redis://${H}:6379/0", ""),
        ("redis_cache.RedisCache", "'LOCATION': 'h:6379:4'", "url=redis://h:6379/4", ""),
        ("redis_cache.RedisCache", "'LOCATION': '/s', 'OPTIONS': {'db': 5}", "url=redis+unix:///s?db=5", ""),
    ] {
        let (found, told) = probed("Cache", &format!("CACHES = {{'default': {{'BACKEND': '{backend}', {settings}}}}}"));
        assert_eq!(found, expected, "{settings}\n{told}");
        assert!(
            if said.is_empty() { !told.contains("settings.py:1:") } else { told.contains(said) },
            "{settings}\n{told}"
        );
    }
}

#[test]
fn what_cannot_be_asked_fails_and_says_why() {
    for (class, settings, why) in [
        ("Db", "", "DATABASES is not in this file"),
        ("Db", "DATABASES = {'default': read()}", "the entry `default` of DATABASES is a call of `read`"),
        ("Db", "DATABASES = {'default': env.db(more=1)}", "the entry `default` of DATABASES is a call of `env.db`"),
        ("Db", "DATABASES = get()", "DATABASES is a call of `get`"),
        ("Db", "DATABASES = {'other': {}}", "DATABASES has no `default`"),
        ("Db", "DATABASES = {'default': {}}", "the entry `default` of DATABASES has no `ENGINE`"),
        (
            "Db",
            "DATABASES = {'default': {'ENGINE': X}}",
            "`ENGINE` of the entry `default` of DATABASES is the name `X`",
        ),
        ("Db", "DATABASES = {'default': {'ENGINE': 'a.oracle'}}", "no kind of check asks a database of `a.oracle`"),
        ("Db", "DATABASES = {'default': {'ENGINE': 'sqlite3', 'NAME': ':memory:'}}", "in Django's own memory"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.LocMemCache'}}", "in Django's own memory"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.DummyCache'}}", "in Django's own memory"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.FileBasedCache'}}", "a cache of files or of tables"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.DatabaseCache'}}", "a cache of files or of tables"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.Other'}}", "no kind of check asks a cache of `x.Other`"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.RedisCache'}}", "the cache has no `LOCATION`"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.RedisCache', 'LOCATION': 'http://a'}}", "is not understood"),
        ("Cache", "CACHES = {'default': {'BACKEND': 'x.RedisCache', 'LOCATION': []}}", "names no server"),
        ("Flag", "", "a flag without `filename`"),
        ("Other", "", "it was `heartbeat.heartbeats.Other`"),
    ] {
        let (found, told) = probed(class, settings);
        assert!(
            found.starts_with("shell=echo 'to be written anew: ") && found.ends_with(" >&2; exit 1"),
            "{settings}\n{found}"
        );
        assert!(told.contains(why) && told.contains("fails until somebody writes it anew"), "{settings}\n{told}");
    }
}

#[test]
fn actions_are_what_they_were_and_cautious_where_nobody_knows() {
    for (actions, takedown) in [
        ("", "false"),
        ("'actions': {}", "false"),
        ("'actions': {'takedown': False}", "false"),
        ("'actions': {'takedown': 0}", "false"),
        ("'actions': {'takedown': None}", "false"),
        ("'actions': {'takedown': 1}", "true"),
        ("'actions': {'takedown': 'yes'}", "true"),
        ("'actions': {'takedown': DEBUG}", "true"),
        ("'actions': ACTIONS", "true"),
        ("'actions': ['takedown']", "true"),
    ] {
        let (node, said) = converted(&format!("HEARTBEAT = {{'it': {{'class': 'a.B', {actions}}}}}"));
        let found = node.get("checks").and_then(|checks| checks.get("it")?.get("takedown")).expect("it is written");
        assert_eq!(found.as_text(), Some(takedown), "{actions}\n{said}");
    }
}

#[test]
fn administrators_get_the_mail_that_they_got() {
    let alert = |settings: &str| {
        let text = format!("{settings}\nHEARTBEAT = {{'it': {{'class': 'a.B', 'actions': {{'mail_admins': True}}}}}}");
        let (node, said) = converted(&text);
        let alerts = node.get("alerts").expect("there are alerts");
        let told = node.get("checks").and_then(|checks| checks.get("it")?.get("alerts")).map(shown);
        assert_eq!(told.as_deref(), Some(if alerts.as_map().is_some() { "[admins]" } else { "[]" }), "{said}");
        (alerts.get("admins").map(shown).unwrap_or_default(), said)
    };
    let (least, _) = alert("ADMINS = [('A', 'a@b.c')]");
    let expected = "{type=email smtp=smtp://localhost:25 starttls=never from=root@localhost to=[A <a@b.c>] subject=[Django] $message}";
    assert_eq!(least, expected);
    for (settings, part) in [
        ("EMAIL_HOST = 'h'; EMAIL_USE_TLS = True; EMAIL_PORT = 587", "smtp=smtp://h:587 starttls=required "),
        ("EMAIL_HOST = 'h'; EMAIL_USE_SSL = True; EMAIL_PORT = 465", "smtp=smtps://h:465 from"),
        ("EMAIL_USE_TLS = tls()", "starttls=required"),
        (
            "EMAIL_HOST_USER = 'u@v'; EMAIL_HOST_PASSWORD = env('P')",
            "smtp=smtp://u%40v@localhost:25 starttls=never password={env=P}",
        ),
        // Django logs in only with both.
        ("EMAIL_HOST_USER = 'u'; EMAIL_HOST_PASSWORD = ''", "smtp=smtp://localhost:25 starttls=never from"),
        ("EMAIL_HOST_PASSWORD = 'p'", "smtp=smtp://localhost:25 starttls=never from"),
        ("SERVER_EMAIL = env('FROM')", "from=${FROM}"),
        ("EMAIL_SUBJECT_PREFIX = ''", "subject=$message"),
        ("EMAIL_SUBJECT_PREFIX = '[$x] '", "subject=[$$x] $message"),
        ("EMAIL_TIMEOUT = 5", "timeout=5s"),
        ("EMAIL_TIMEOUT = None", "$message}"),
        ("ADMINS = (('Ä Ö', 'a@b.c'), ['Doe, J.', 'd@b.c'], 'e@b.c')", "to=[Ä Ö <a@b.c> \"Doe, J.\" <d@b.c> e@b.c]"),
        ("ADMINS = [(env('N'), env('A'))]", "to=[${N} <${A}>]"),
        ("ADMINS = read()", "to=[${ADMINS}]"),
    ] {
        let (found, said) = alert(&format!("ADMINS = [('A', 'a@b.c')]; {settings}"));
        assert!(found.contains(part), "{settings}\n{found}\n{said}");
    }
    for settings in ["", "ADMINS = []", "ADMINS = None", "ADMINS = [1]"] {
        let (found, said) = alert(settings);
        assert!(found.is_empty() && said.contains("nobody is told"), "{settings}\n{found}\n{said}");
    }
}

#[test]
fn settings_are_recognised_by_name_or_by_what_is_in_them() {
    for (name, text) in [
        ("settings.py", ""),
        ("x", "HEARTBEAT = {\n"),
        ("settings.txt", "import os\nHEARTBEAT={}\n"),
        ("x", "HEARTBEAT = dict(\n"),
    ] {
        assert!(recognise(name, text), "{name} {text}");
    }
    for (name, text) in [
        ("heartbeat.conf", "[general]\nHEARTBEAT = 1\n"),
        ("x.yaml", "checks: []\n# HEARTBEAT = {\n"),
        ("x", "  HEARTBEAT = {"),
        ("x", "HEARTBEATS = {"),
        ("x", "HEARTBEAT == {"),
    ] {
        assert!(!recognise(name, text), "{name} {text}");
    }
}

#[test]
fn what_is_no_heartbeat_is_refused() {
    let crowd = format!("HEARTBEAT = {{{}}}", (0..1001).map(|n| format!("'{n}': {{}},")).collect::<String>());
    for (text, why) in [
        ("DATABASES = {}", "there is no `HEARTBEAT = {…}` in this file"),
        ("HEARTBEAT = load()", "expected a dictionary for HEARTBEAT, found a call of `load`"),
        ("HEARTBEAT = (", "this is not Python: `(` is never closed"),
        (&crowd, "expected at most 1000 checks, found 1001"),
    ] {
        let mut problems = Problems::default();
        let source = problems.add_source("settings.py", text);
        assert!(convert(source, text, &mut problems).is_none() && problems.has_errors(), "{text}");
        assert!(problems.render().contains(why), "{}", problems.render());
    }
    // Nothing that Django's own flag did not need is asked for.
    let (node, said) = converted("HEARTBEAT = {'flag': {'class': 'heartbeat.heartbeats.Flag', 'filename': '/f'}}");
    assert!(node.get("checks").is_none() && said.is_empty(), "{said}");
}
