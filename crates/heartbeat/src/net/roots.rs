//! Authorities: the system's, or those of a file.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The authorities that this machine trusts; if it names none, Mozilla's, which are built in.
pub fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// The authorities of a PEM file.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn from_file(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("not an authority in {}: {error}", path.display()))?;
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error| format!("expected certificates in {}: {error}", path.display()))?;
    match found.is_empty() {
        true => Err(format!("expected certificates in {}, found none (is it a PEM file?)", path.display())),
        false => Ok(found),
    }
}
