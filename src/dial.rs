//! How other servers are reached over HTTP: which certificates count, and through which proxy.
//!
//! Public authorities come from the system's store and from the list that is built in, so that a machine without a
//! store works too. Without a proxy of ours the usual variables count: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.

use std::sync::{Arc, LazyLock};

use reqwest::{ClientBuilder, Proxy, Url};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use secrecy::{ExposeSecret as _, SecretString};

/// What webpki says of a certificate that is an authority and a server's own: what `openssl req -x509` makes.
const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Kinds of proxies. `socks5h` leaves the names of servers to the proxy, `socks5` looks them up here.
const PROXIES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// Whose certificates are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust<'a> {
    /// Those of public authorities, and those in this PEM text.
    Authorities(Option<&'a [u8]>),
    Anybody,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("the file of the private authority holds no PEM certificate")]
    NoCertificate,
    #[error("the private authority cannot be read")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("the private authority cannot be used")]
    Certificate(#[source] Error),
    #[error("TLS cannot be prepared")]
    Tls(#[source] Error),
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
    #[error("the proxy cannot be used")]
    Proxy(#[source] reqwest::Error),
}

/// Begins a client for `server`; the caller adds its timeouts. A server on this machine is asked directly, unless a
/// proxy is named for it: what `HTTP_PROXY` names is for others.
///
/// # Errors
///
/// Says which setting cannot be used.
pub(crate) fn client(
    server: Option<&Url>,
    trust: Trust<'_>,
    proxy: Option<&SecretString>,
) -> Result<ClientBuilder, DialError> {
    let builder = reqwest::Client::builder();
    let builder = match trust {
        Trust::Anybody => builder.danger_accept_invalid_certs(true),
        Trust::Authorities(own) => builder.use_preconfigured_tls(tls(own)?),
    };
    Ok(match proxy {
        // Its error may hold the address, and that a password.
        Some(proxy) => builder
            .proxy(Proxy::all(proxy.expose_secret()).map_err(|error| DialError::Proxy(error.without_url()))?),
        None if server.is_some_and(is_loopback) => builder.no_proxy(),
        None => builder,
    })
}

/// Tells whether an address never leaves the machine.
#[must_use]
pub(crate) fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => std::net::IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Says what is wrong with a proxy's address.
///
/// # Errors
///
/// What is expected instead.
pub(crate) fn proxy(text: &str) -> Result<SecretString, String> {
    let url = Url::parse(text.trim()).ok();
    match url.filter(|url| PROXIES.contains(&url.scheme()) && url.has_host()) {
        Some(url) => Ok(SecretString::from(url.to_string())),
        None => Err("a proxy such as http://proxy:3128, socks5://proxy:1080 or socks5h://proxy:1080".into()),
    }
}

fn tls(own: Option<&[u8]>) -> Result<ClientConfig, DialError> {
    static PUBLIC: LazyLock<RootCertStore> = LazyLock::new(|| {
        let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let system = rustls_native_certs::load_native_certs();
        if let Some(error) = system.errors.first() {
            tracing::debug!(%error, "a part of the system's certificates cannot be read");
        }
        store.add_parsable_certificates(system.certs);
        store
    });
    let own = own.map(certificates).transpose()?.unwrap_or_default();
    let mut roots = PUBLIC.clone();
    for certificate in &own {
        roots.add(certificate.clone()).map_err(DialError::Certificate)?;
    }
    let provider = Arc::new(ring::default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| DialError::Tls(Error::General(error.to_string())))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(DialError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { usual, own }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, DialError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(DialError::Pem)?;
    if found.is_empty() { Err(DialError::NoCertificate) } else { Ok(found) }
}

/// The usual checks, and one exception, as curl and OpenSSL make it: a server may show the very certificate that is
/// in the file. Its dates are checked all the same, and its
/// names where it has any.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The dates are checked before this, the name behind it.
        let is_own = |why: &dyn std::error::Error| {
            why.to_string() == AUTHORITY_AS_SERVER && self.own.iter().any(|own| own == end_entity)
        };
        match self.usual.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(CertificateError::Other(why))) if is_own(&*why.0) => {
                own_name(verify_server_name(&ParsedCertificate::try_from(end_entity)?, name))?;
                Ok(ServerCertVerified::assertion())
            }
            usual => usual,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// `openssl req -x509` names no server unless it is told to. Then the file alone says whose certificate it is.
fn own_name(checked: Result<(), Error>) -> Result<(), Error> {
    match checked {
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))
            if presented.is_empty() =>
        {
            Ok(())
        }
        checked => checked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_with_a_kind() {
        for fine in ["http://p:3128", "https://u:s3cret@p", "socks5://p:1080", " socks5h://[::1]:1080 "] {
            assert!(proxy(fine).is_ok(), "{fine}");
        }
        for wrong in ["p:3128", "ftp://p", "socks4://p:1", "http://", "often"] {
            assert!(proxy(wrong).unwrap_err().contains("socks5://"), "{wrong}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        assert!(matches!(tls(Some(b"no PEM")), Err(DialError::NoCertificate)));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(tls(Some(broken)), Err(DialError::Certificate(_))));
    }
}
