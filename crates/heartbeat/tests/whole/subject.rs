//! The program as a subject of the suite of answers.

use std::fs::File;
use std::net::SocketAddr;

use crate::answers::world::World;
use crate::answers::{Subject, TOKEN};
use crate::support::{Home, Program, closed_port};

/// What the search says that has found nothing.
pub(crate) const NO_HITS: &str = "the body has 0 at $.response.numFound, expected `12`";

/// What the database says that is not there.
pub(crate) fn no_database(_: &World) -> String {
    "exit status 1".to_owned()
}

/// The daemon, running, and its files.
struct Daemon {
    program: Program,
    address: SocketAddr,
    _home: Home,
}

impl Subject for Daemon {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.program.pid()
    }
}

pub(crate) fn start(world: &World) -> impl Subject + use<> {
    std::fs::create_dir_all(world.flag().parent().expect("a folder")).expect("the folder can be written");
    open_database(world);
    let address = SocketAddr::from(([127, 0, 0, 1], closed_port()));
    let home = Home::new().with(
        "heartbeat.yaml",
        &format!(
            "defaults: {{ interval: 2s, fast_interval: 1s, timeout: 2s, fall: 2, rise: 1 }}\n\
             checks:\n  \
               database: {{ shell: 'test -e {database} && flock -s {database} true' }}\n  \
               search: {{ url: '{search}', expect: {{ body: {{ json: {{ $.response.numFound: 12 }} }} }}, takedown: false }}\n\
             responder: {{ listen: '{address}', flag: {flag}, token: {TOKEN}, lame_duck: 3s }}\n\
             storage: memory\n\
             alerts: []\n",
            database = world.database().display(),
            search = world.search_url(),
            flag = world.flag().display(),
        ),
    );
    let mut program = home.start(&["run"]);
    program.wait_for("started with");
    Daemon { program, address, _home: home }
}

/// Locks the database, so that nobody else can.
pub(crate) fn hold(world: &World) -> impl Sized {
    let database = open_database(world);
    database.lock().expect("it can be locked");
    database
}

fn open_database(world: &World) -> File {
    File::options().append(true).create(true).open(world.database()).expect("the folder can be written")
}
