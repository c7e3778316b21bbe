//! What hyper and rustls cost by themselves: `bare-hyper-tls PORT ANSWER CERTIFICATE KEY`, on the webhook's runtime.

use std::sync::Arc;

use bench_servers::{Answer, Failure};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

fn main() -> Result<(), Failure> {
    let [_, port, answer, certificate, key] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: bare-hyper-tls PORT ANSWER CERTIFICATE KEY".into());
    };
    let answer = Arc::new(Answer::read(answer)?);
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connect = |stream| {
            let (answer, acceptor) = (Arc::clone(&answer), acceptor.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    bench_servers::serve(stream, &answer).await;
                }
            }
        };
        bench_servers::accept(bench_servers::bind(port)?, connect).await
    })
}
