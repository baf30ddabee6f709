//! TLS: `wss://` with a certificate of our own making.

use std::path::{Path, PathBuf};

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use super::*;

/// A certificate for localhost, and its key, in files.
struct Certificate {
    directory: TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let mut certificate =
            Self { directory: tempfile::tempdir().unwrap(), der: CertificateDer::from(Vec::new()) };
        certificate.renew();
        certificate
    }

    fn renew(&mut self) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.file("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.file("key.pem"), made.signing_key.serialize_pem()).unwrap();
        self.der = made.cert.der().clone();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn server(&self) -> TestServer {
        let (certificate, key) = (self.file("cert.pem"), self.file("key.pem"));
        TestServer::configured(|config| {
            config.ws_server.tls_certificate = Some(certificate);
            config.ws_server.tls_key = Some(key);
            config.limits.handshake = Duration::from_secs(5);
        })
        .await
    }
}

/// Connects trusting this certificate alone.
async fn connect(
    server: &TestServer,
    trusted: &CertificateDer<'static>,
) -> Result<Client, WsError> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let url = format!("wss://localhost:{}/call-api", server.address.port());
    let connector = Some(Connector::Rustls(Arc::new(config)));
    let (socket, _) = connect_async_tls_with_config(url, None, true, connector).await?;
    Ok(Client { socket })
}

#[tokio::test]
async fn a_call_is_started_over_wss_and_nothing_is_said_without_tls() {
    let certificate = Certificate::new();
    let server = certificate.server().await;
    let mut client = connect(&server, &certificate.der).await.unwrap();
    client.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:bob@h"})).await;
    assert_eq!(client.until_ended().await, EXAMPLE_FLOW);
    assert!(connect(&server, &Certificate::new().der).await.is_err(), "another certificate");
    assert!(connect_async(format!("ws://{}/call-api", server.address)).await.is_err());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an end");
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_clients_and_old_ones_stay() {
    let mut certificate = Certificate::new();
    let server = certificate.server().await;
    let old = certificate.der.clone();
    let mut before = connect(&server, &old).await.unwrap();
    certificate.renew();
    std::fs::write(certificate.file("key.pem"), "no key").unwrap();
    assert!(server.door.reload().is_err());
    assert!(connect(&server, &old).await.is_ok(), "what was read stays");
    certificate.renew();
    server.door.reload().unwrap();
    assert!(connect(&server, &old).await.is_err());
    assert!(connect(&server, &certificate.der).await.is_ok());
    before.request("Echo", json!({})).await;
    assert_eq!(before.until_ended().await, ["Started", "REPLY", "Ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_go_on_is_given_up() {
    let server = Certificate::new().server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The head of a ClientHello that never comes.
    stream.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(6), stream.read_to_end(&mut rest)).await;
    let _ = closed.expect("closed in time");
}

#[tokio::test]
async fn files_that_are_no_certificate_or_key_are_named() {
    let certificate = Certificate::new();
    let (cert, key) = (certificate.file("cert.pem"), certificate.file("key.pem"));
    let bind = async |cert: &Path, key: &Path| {
        let (tls_certificate, tls_key) = (Some(cert.to_owned()), Some(key.to_owned()));
        let ws_server = WsServer { port: 0, tls_certificate, tls_key, ..WsServer::default() };
        server::bind(&ws_server).await.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(bind(&cert, &key).await, Ok(()));
    let missing = certificate.file("missing.pem");
    for (wrong, blamed) in [
        (bind(&missing, &key).await, &missing),
        (bind(&cert, &missing).await, &missing),
        (bind(&key, &key).await, &key),
        (bind(&cert, &cert).await, &cert),
    ] {
        let error = wrong.unwrap_err();
        assert!(error.contains(blamed.to_str().unwrap()), "{error}");
    }
}
