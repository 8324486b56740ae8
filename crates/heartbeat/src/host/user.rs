//! Users and groups, and how to become one of them for good.
//!
//! The calls go through nix and so through the C library, which changes every thread of the process; a bare system call
//! changes one.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nix::unistd::{self, Gid, Uid};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the login group.
    pub gid: u32,
    /// The home folder.
    pub home: PathBuf,
}

/// A group of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The number.
    pub gid: u32,
}

/// Why a user or group is not to be had: a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError(pub String);

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UserError {}

/// The user with this login name, or with this number.
///
/// # Errors
/// If there is none, or the user database cannot be asked.
pub fn user(name: &str) -> Result<User, UserError> {
    let found = match (unistd::User::from_name(name), name.parse()) {
        (Ok(None), Ok(uid)) => unistd::User::from_uid(Uid::from_raw(uid)),
        (found, _) => found,
    };
    match found {
        Ok(Some(user)) => Ok(user.into()),
        Ok(None) => Err(UserError(format!("there is no user `{name}` on this machine: see `getent passwd`"))),
        Err(errno) => Err(UserError(format!("cannot look up the user `{name}`: {}", errno.desc()))),
    }
}

/// The user that this process acts as; `None` if its number has no name. The user database, which may be far away, is asked
/// once for each number that this process ever acts as.
pub fn current() -> Option<User> {
    static ASKED: Mutex<Option<(Uid, Option<User>)>> = Mutex::new(None);
    let uid = unistd::geteuid();
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*asked {
        Some((known, user)) if *known == uid => user.clone(),
        _ => {
            let user: Option<User> = unistd::User::from_uid(uid).ok().flatten().map(Into::into);
            *asked = Some((uid, user.clone()));
            user
        }
    }
}

/// The group with this name, or with this number.
///
/// # Errors
/// If there is none, or the group database cannot be asked.
pub fn group(name: &str) -> Result<Group, UserError> {
    let found = match (unistd::Group::from_name(name), name.parse()) {
        (Ok(None), Ok(gid)) => unistd::Group::from_gid(Gid::from_raw(gid)),
        (found, _) => found,
    };
    match found {
        Ok(Some(group)) => Ok(Group { name: group.name, gid: group.gid.as_raw() }),
        Ok(None) => Err(UserError(format!("there is no group `{name}` on this machine: see `getent group`"))),
        Err(errno) => Err(UserError(format!("cannot look up the group `{name}`: {}", errno.desc()))),
    }
}

/// Whether this process acts as root.
pub fn is_root() -> bool {
    unistd::geteuid().is_root()
}

/// Makes this process that user for good: supplementary groups, group and user, each as real, effective and saved one, and
/// then proves that there is no way back. `group` replaces the login group.
///
/// A process that is that user already, and has that group if one is named, is left as it is.
///
/// # Errors
/// If it is not allowed, or if a way back was found; the process must end then.
pub fn drop_to(user: &User, group: Option<&Group>) -> Result<(), UserError> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(group.map_or(user.gid, |group| group.gid)));
    if !is_root() {
        return match unistd::geteuid() == uid && (group.is_none() || unistd::getegid() == gid) {
            true => Ok(()),
            false => Err(UserError(format!(
                "cannot become the user `{}` with the group number {gid}: only root can, and this process runs as number {}",
                user.name,
                unistd::geteuid()
            ))),
        };
    }
    let name = CString::new(user.name.as_str())
        .map_err(|_| UserError(format!("the user name `{}` holds a NUL", user.name.escape_debug())))?;
    let failed = |what: &str, errno: nix::Error| {
        UserError(format!("cannot take the {what} of the user `{}`: {}", user.name, errno.desc()))
    };
    unistd::initgroups(&name, gid).map_err(|errno| failed("supplementary groups", errno))?;
    unistd::setresgid(gid, gid, gid).map_err(|errno| failed("group", errno))?;
    unistd::setresuid(uid, uid, uid).map_err(|errno| failed("number", errno))?;
    match is_for_good(&name, uid, gid) {
        true => Ok(()),
        false => Err(UserError(format!("became the user `{}`, but not for good: refusing to go on", user.name))),
    }
}

/// Asks the kernel whether the drop was complete, and tries the way back.
fn is_for_good(name: &CStr, uid: Uid, gid: Gid) -> bool {
    let set = |groups: Vec<Gid>| groups.into_iter().map(Gid::as_raw).collect::<BTreeSet<_>>();
    let uids = unistd::getresuid().is_ok_and(|now| [now.real, now.effective, now.saved] == [uid; 3]);
    let gids = unistd::getresgid().is_ok_and(|now| [now.real, now.effective, now.saved] == [gid; 3]);
    let groups = match (unistd::getgroups(), unistd::getgrouplist(name, gid)) {
        (Ok(now), Ok(due)) => set(now).is_subset(&set(due)),
        _ => false,
    };
    let root = Uid::from_raw(0);
    let way_back = !uid.is_root() && unistd::setresuid(root, root, root).is_ok();
    uids && gids && groups && !way_back
}

impl From<unistd::User> for User {
    fn from(user: unistd::User) -> Self {
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_name_and_by_number() {
        assert_eq!(user("root").unwrap().uid, 0);
        assert_eq!(user("0").unwrap().name, "root");
        assert_eq!(group("root").unwrap().gid, 0);
        assert_eq!(group("0").unwrap().name, "root");
    }

    #[test]
    fn says_who_is_missing() {
        let error = user("nobody-of-this-name").unwrap_err();
        assert_eq!(error.to_string(), "there is no user `nobody-of-this-name` on this machine: see `getent passwd`");
        let error = group("no-such-group").unwrap_err();
        assert_eq!(error.to_string(), "there is no group `no-such-group` on this machine: see `getent group`");
    }

    #[test]
    fn a_name_with_a_nul_is_nobody() {
        assert!(user("root\0").is_err());
    }
}
