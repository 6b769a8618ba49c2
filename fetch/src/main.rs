//! pinfold's registry client: talks to one registry for the pinfold that started it, which
//! holds the other end of stdin (`wire`). It verifies nothing and keeps nothing: whatever it
//! gets goes into the pipe that came with the request, and pinfold judges it.
//!
//! It is confined before the first byte of a stranger comes in: `confine`.

mod client;
mod confine;
mod filter;
mod received;
mod talk;
#[path = "../../src/registry/wire.rs"]
mod wire;

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::process::ExitCode;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;

use wire::{Failed, Start, Why};

/// A bundle of certificate authorities is smaller.
const LARGEST_BUNDLE: u64 = 8 << 20;
/// Nothing listens there: where plain HTTP is not asked for, no redirect and no token server
/// can lead to it.
const NOWHERE: &str = "http://0.0.0.0:1";

fn main() -> ExitCode {
    let Ok(talk) = talk::Talk::on_stdin() else { return ExitCode::FAILURE };
    match serve(&talk) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failed = Failed { why: Why::Refused, text: error.to_string() };
            match talk.reply(0, Some(failed), None) {
                Ok(()) | Err(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn serve(talk: &talk::Talk) -> Result<(), Box<dyn Error>> {
    // It was executed by descriptor, which is no name.
    nix::sys::prctl::set_name(c"pinfold-fetch")?;
    let parent = nix::unistd::getppid();
    let (start, authorities) = talk.start()?;
    let client = client(&start, authorities)?;
    let lacking = confine::confine(start.become_id, &start.ports, parent)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    talk.reply(0, None, lacking)?;
    let login =
        start.login.map_or(RegistryAuth::Anonymous, |login| RegistryAuth::Basic(login.user, login.secret));
    runtime.block_on(client::Session::new(client, start.location, login).serve(talk))
}

/// Reads the certificate authorities, so it stands before the confinement.
fn client(start: &Start, authorities: Option<File>) -> Result<oci_client::Client, Box<dyn Error>> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_there| "two TLS providers")?;
    let host = start.location.rsplit_once(':').map_or(start.location.as_str(), |(host, _)| host);
    let mut config = ClientConfig {
        protocol: ClientProtocol::Https,
        read_timeout: Some(std::time::Duration::from_millis(start.stall_ms)),
        connect_timeout: Some(std::time::Duration::from_millis(start.stall_ms.min(10_000))),
        user_agent: concat!("pinfold/", env!("CARGO_PKG_VERSION")),
        https_proxy: start.proxy.clone(),
        http_proxy: Some(NOWHERE.to_owned()),
        platform_resolver: None,
        ..ClientConfig::default()
    };
    if start.plain_http {
        config.protocol = ClientProtocol::HttpsExcept(vec![start.location.clone()]);
        config.no_proxy = Some(host.trim_matches(['[', ']']).to_owned());
    }
    if start.has_authorities {
        let mut data = vec![];
        authorities.ok_or("the authorities are missing")?.take(LARGEST_BUNDLE).read_to_end(&mut data)?;
        config.tls_certs_only = vec![Certificate { encoding: CertificateEncoding::Pem, data }];
    }
    Ok(oci_client::Client::try_from(config)?)
}
