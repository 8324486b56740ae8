//! HAProxy takes a server out when we say so, and back, and nobody who asks it for a page notices.

use crate::balancers::{Haproxy, Load, Nginx};
use crate::support::{Home, Program, Web, closed_port, wait_for};

/// The servers of the forerunner's README, as many as we start.
const NAMES: [&str; 3] = ["web-appserver-A-1", "web-appserver-A-2", "web-appserver-A-3"];

/// A machine of a site: an nginx with the site's pages, and a heartbeat that watches it and answers through it.
struct Machine {
    home: Home,
    _heartbeat: Program,
    nginx: Option<Nginx>,
    port: u16,
    agent: u16,
    responder: u16,
}

impl Machine {
    /// `keys` are further ones of the responder.
    fn start(keys: &str) -> Self {
        let (port, agent, responder) = (closed_port(), closed_port(), closed_port());
        let home = Home::new().with(
            "heartbeat.yaml",
            &format!(
                "defaults: {{ interval: 100ms, fast_interval: 100ms, fall: 1, rise: 1, remind: never }}\n\
                 checks:\n  site: http://127.0.0.1:{port}/\nalerts: []\nstorage: memory\n\
                 responder:\n  listen: 127.0.0.1:{responder}\n  agent: 127.0.0.1:{agent}\n  flag: heart.beat\n{keys}\n"
            ),
        );
        let mut heartbeat = home.start(&["run"]);
        heartbeat.wait_for("started with");
        let mut machine = Self { home, _heartbeat: heartbeat, nginx: None, port, agent, responder };
        machine.start_nginx();
        machine
    }

    fn start_nginx(&mut self) {
        let Self { port, responder, .. } = self;
        let server = format!(
            "server {{\n  listen 127.0.0.1:{port};\n  location / {{ return 200 \"a page\\n\"; }}\n  \
             location /heartbeat/status/ {{ proxy_pass http://127.0.0.1:{responder}; }}\n}}\n"
        );
        self.nginx = Some(Nginx::start(&server, self.port));
    }
}

/// Three machines behind HAProxy, under load. One is taken out, loses its power, and comes back.
#[track_caller]
fn a_server_goes_and_comes(keys: &str, backend: impl Fn(&[Machine]) -> String, out: &str) {
    let mut machines = [(); 3].map(|()| Machine::start(keys));
    let haproxy = Haproxy::start(&backend(&machines));
    for name in NAMES {
        wait_for(&format!("{name} is up to HAProxy"), || {
            let known = haproxy.server(name);
            (known["status"] == "UP" && known["check_status"] == "L7OK").then_some(())
        });
    }
    let load = Load::start(haproxy.port);
    let [first, others @ ..] = NAMES;
    wait_for("every server has requests", || NAMES.iter().all(|name| haproxy.requests(name) > 0).then_some(()));

    assert_eq!(machines[0].home.run(&["down"]).code, 0);
    haproxy.wait_for_status(first, out);
    wait_for("its last requests are answered", || (haproxy.server(first)["scur"] == "0").then_some(()));
    machines[0].nginx.take().expect("it runs").kill();
    let before = others.map(|name| haproxy.requests(name));
    wait_for("the others carry the load", || {
        let now = others.map(|name| haproxy.requests(name));
        now.iter().zip(before).all(|(now, before)| *now > before + 50).then_some(())
    });

    machines[0].start_nginx();
    assert_eq!(machines[0].home.run(&["up"]).code, 0);
    haproxy.wait_for_status(first, "UP");
    let before = haproxy.requests(first);
    wait_for("it has requests again", || (haproxy.requests(first) > before).then_some(()));
    load.end_without_a_failure();
}

/// A line for each server of a backend.
fn servers(machines: &[Machine], options: impl Fn(&Machine) -> String) -> String {
    let line = |(name, machine): (&str, &Machine)| {
        format!("    server {name} 127.0.0.1:{} {}\n", machine.port, options(machine))
    };
    NAMES.into_iter().zip(machines).map(line).collect()
}

#[test]
fn the_forerunners_backend_loses_no_request() {
    let backend = |machines: &[Machine]| {
        let servers = servers(machines, |_| "check inter 5000".to_owned());
        format!(
            "backend site\n    balance roundrobin\n    option httpchk HEAD /heartbeat/status/ HTTP/1.0\n    \
             option httpclose\n{servers}"
        )
    };
    a_server_goes_and_comes("", backend, "DOWN");
}

#[test]
fn a_404_lets_a_server_finish_what_it_has() {
    let backend = |machines: &[Machine]| {
        let servers = servers(machines, |_| "check inter 200".to_owned());
        format!(
            "backend site\n    balance roundrobin\n    option httpchk GET /heartbeat/status/\n    \
             http-check disable-on-404\n{servers}"
        )
    };
    a_server_goes_and_comes("  views: { status: { drain_status: 404 } }", backend, "NOLB");
}

#[test]
fn an_agent_drains_a_server() {
    // The ordinary check is of the site itself: what the agent says decides.
    let backend = |machines: &[Machine]| {
        let servers = servers(machines, |machine| {
            format!("check inter 200 agent-check agent-inter 200 agent-port {}", machine.agent)
        });
        format!("backend site\n    balance roundrobin\n    option httpchk HEAD /\n{servers}")
    };
    a_server_goes_and_comes("", backend, "DRAIN (agent)");
}

#[test]
fn an_agents_words_do_not_outlive_their_reasons() {
    let (target, agent) = (Web::answering(200), closed_port());
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 50ms, fast_interval: 50ms, fall: 1, rise: 1, remind: never }}\n\
             checks:\n  shop: {}\nalerts: []\nstorage: memory\n\
             responder:\n  listen: 127.0.0.1:0\n  agent: {{ listen: 127.0.0.1:{agent}, weight: load }}\n  \
             flag: heart.beat\n  lame_duck: 1s\n",
            target.url()
        ),
    );
    let start = || {
        let mut program = home.start(&["run"]);
        program.wait_for("started with");
        program
    };
    let heartbeat = start();
    let haproxy = Haproxy::start(&format!(
        "backend site\n    server shop 127.0.0.1:{} weight 100 check inter 100 agent-check agent-inter 100 \
         agent-port {agent} agent-send web1\\n\n",
        target.port()
    ));
    haproxy.wait_for_status("shop", "UP");
    wait_for("a weight of its own", || (haproxy.server("shop")["agent_status"] == "L7OK").then_some(()));
    let weight: u32 = haproxy.server("shop")["weight"].parse().expect("a number");
    assert!((1..=100).contains(&weight));

    // The agent alone knows that the page is wrong; HAProxy only looks whether somebody listens.
    target.answer(500);
    haproxy.wait_for_status("shop", "DOWN (agent)");
    assert_eq!(haproxy.server("shop")["last_agt"], "via agent : down (down: shop)");
    assert_eq!(home.run(&["down"]).code, 0);
    target.answer(200);
    haproxy.wait_for_status("shop", "DRAIN (agent)");
    assert_eq!(home.run(&["up"]).code, 0);
    haproxy.wait_for_status("shop", "UP");

    // Whoever ends while a check fails leaves a drain behind, and no failure that nobody would take back.
    target.answer(500);
    haproxy.wait_for_status("shop", "DOWN (agent)");
    assert_eq!(heartbeat.terminate().code, 0);
    haproxy.wait_for_status("shop", "DRAIN (agent)");
    target.answer(200);
    let _heartbeat = start();
    haproxy.wait_for_status("shop", "UP");
}
