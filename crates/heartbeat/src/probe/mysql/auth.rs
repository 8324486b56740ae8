//! How a password is proved.
//!
//! `mysql_native_password` (MariaDB's default, and MySQL's before 8.0) and `caching_sha2_password` (MySQL's since) prove it
//! by a hash over what the server has made up for this login. Absent on purpose: plugins that send the password itself
//! (`mysql_clear_password`, `sha256_password`, PAM's `dialog`), for any server could ask for one of them; RSA in place of
//! TLS; and `client_ed25519` and `parsec`, which few use and which need another library of elliptic curves.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A plugin that heartbeat speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// SHA-1.
    Native,
    /// SHA-256, with a cache on the server: of a user that is not in it the server wants the password itself.
    CachingSha2,
}

impl Plugin {
    /// The plugin with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Native, Self::CachingSha2].into_iter().find(|plugin| plugin.name() == name)
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
        }
    }

    /// The proof for a server that has made up this scramble. An empty password is proved by nothing.
    pub(super) fn prove(self, password: &str, scramble: &[u8]) -> Vec<u8> {
        let password = password.as_bytes();
        match self {
            _ if password.is_empty() => Vec::new(),
            Self::Native => {
                let once = Sha1::digest(password);
                let salted = Sha1::new().chain_update(scramble).chain_update(Sha1::digest(once)).finalize();
                xor(&once, &salted)
            }
            Self::CachingSha2 => {
                let once = Sha256::digest(password);
                let salted = Sha256::new().chain_update(Sha256::digest(once)).chain_update(scramble).finalize();
                xor(&once, &salted)
            }
        }
    }
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAMBLE: &[u8] = b"abcdefghijklmnopqrst";

    /// What a server does: it knows the double hash, takes the salt off the proof, and hashes what is left.
    #[test]
    fn a_server_can_check_the_proof() {
        let proof = Plugin::Native.prove("s3cret", SCRAMBLE);
        let known = Sha1::digest(Sha1::digest("s3cret"));
        let salt = Sha1::new().chain_update(SCRAMBLE).chain_update(known).finalize();
        assert_eq!(Sha1::digest(xor(&proof, &salt)), known);

        let proof = Plugin::CachingSha2.prove("s3cret", SCRAMBLE);
        let known = Sha256::digest(Sha256::digest("s3cret"));
        let salt = Sha256::new().chain_update(known).chain_update(SCRAMBLE).finalize();
        assert_eq!(Sha256::digest(xor(&proof, &salt)), known);

        assert_eq!(Plugin::named("caching_sha2_password"), Some(Plugin::CachingSha2));
        assert!(Plugin::Native.prove("", SCRAMBLE).is_empty() && Plugin::named("client_ed25519").is_none());
    }
}
