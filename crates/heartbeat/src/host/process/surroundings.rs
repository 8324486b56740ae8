//! Where a command runs and what it inherits.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::Command;
use crate::host::env;
use crate::host::user::{self, User};

/// Where programs are when our own environment does not say it: the usual places, those of administrators included.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of our own environment that a command in clean surroundings sees.
const KEPT: [&str; 2] = ["LANG", "TZ"];

/// Variables that never reach a command, by the beginning of their names: they steer loaders and shells, or are meant for
/// this process alone.
const DROPPED: [&str; 11] = [
    "LD_",
    "GCONV_PATH=",
    "GLIBC_TUNABLES=",
    "BASH_ENV=",
    "BASH_FUNC_",
    "HEARTBEAT_",
    "NOTIFY_SOCKET=",
    "WATCHDOG_",
    "LISTEN_",
    "CREDENTIALS_DIRECTORY=",
    "MAINPID=",
];

impl Command {
    /// A command in clean surroundings: in `/`, with `PATH`, `HOME`, `USER`, and `LANG` and `TZ` if we have them.
    ///
    /// `user` is whom it runs as; `None`: as we do.
    pub fn clean(argv: Vec<OsString>, user: Option<User>) -> Self {
        let mut env = vec![("PATH".into(), env::raw("PATH").unwrap_or_else(|| USUAL_PATH.into()))];
        env.extend(KEPT.iter().filter_map(|name| Some((name.into(), env::raw(name)?))));
        let mut command = Self { argv, cwd: "/".into(), env, stdin: Vec::new(), user };
        if let Some(user) = command.user.clone().or_else(user::current) {
            command.set_owner(&user);
        }
        command
    }

    /// A command in the launcher's surroundings: in the folder that heartbeat was started in, with the whole environment
    /// except for what steers loaders and shells (`LD_*` and the like) or is meant for heartbeat alone.
    ///
    /// `user` is whom it runs as; `None`: as we do.
    pub fn launched(argv: Vec<OsString>, user: Option<User>) -> Self {
        let env = env::all().into_iter().filter(|(name, _)| !is_dropped(name)).collect();
        let mut command = Self { argv, cwd: env::launch_folder().to_owned(), env, stdin: Vec::new(), user };
        if let Some(user) = command.user.clone() {
            command.set_owner(&user);
        }
        command
    }

    /// Gives a variable a value, whatever it was before.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let (name, value) = (name.into(), value.into());
        match self.env.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.env.push((name, value)),
        }
    }

    fn set_owner(&mut self, user: &User) {
        self.set("HOME", user.home.as_os_str());
        self.set("USER", &user.name);
    }
}

fn is_dropped(name: &OsStr) -> bool {
    DROPPED.iter().any(|dropped| match dropped.strip_suffix('=') {
        Some(whole) => name == whole,
        None => name.as_bytes().starts_with(dropped.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_and_shells_are_not_steered() {
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_FUNC_ls%%", "GLIBC_TUNABLES", "HEARTBEAT_FAILPOINT"] {
            assert!(is_dropped(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "LDAP_HOST", "BASH_ENVY", "ENV", "LISTENER"] {
            assert!(!is_dropped(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn clean_surroundings_are_few() {
        let mut command = Command::clean(vec!["true".into()], None);
        command.set("USER", "somebody");
        let mut names: Vec<&str> = command.env.iter().filter_map(|(name, _)| name.to_str()).collect();
        names.retain(|name| !KEPT.contains(name));
        names.sort_unstable();
        assert_eq!(names, ["HOME", "PATH", "USER"]);
        assert!(command.env.contains(&("USER".into(), "somebody".into())));
        assert_eq!(command.cwd, std::path::Path::new("/"));
    }

    #[test]
    fn another_user_has_a_home_of_its_own() {
        let nobody = user::user("nobody").unwrap();
        for command in [
            Command::clean(vec!["true".into()], Some(nobody.clone())),
            Command::launched(vec!["true".into()], Some(nobody.clone())),
        ] {
            assert!(command.env.contains(&("HOME".into(), nobody.home.clone().into())));
            assert!(command.env.contains(&("USER".into(), "nobody".into())));
        }
    }
}
