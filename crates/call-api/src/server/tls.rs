//! TLS for the API's port (`wss://`): a certificate and its key from files, read again when told to.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What every new connection is greeted with.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    acceptor: watch::Sender<TlsAcceptor>,
}

impl Tls {
    /// Reads a certificate, with those it was signed by behind it, and its key, all in PEM.
    pub(super) fn load(certificate: &Path, key: &Path) -> io::Result<Self> {
        let acceptor = watch::Sender::new(read(certificate, key)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), acceptor })
    }

    /// Reads both files again, for new connections. When that fails all stays as it is.
    pub(super) fn reload(&self) -> io::Result<()> {
        self.acceptor.send_replace(read(&self.certificate, &self.key)?);
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.borrow().clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.certificate.display())
    }
}

fn read(certificate: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let at = |file: &Path, message: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {message}", file.display()))
    };
    let unreadable = |file: &Path, error: pem::Error| match error {
        pem::Error::NoItemsFound => at(file, "nothing of the kind in it, as PEM".to_owned()),
        error => at(file, error.to_string()),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, error))?;
    if chain.is_empty() {
        return Err(at(certificate, "no certificate in it, as PEM".to_owned()));
    }
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| at(key, error.to_string()))?;
    // A WebSocket begins as HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
