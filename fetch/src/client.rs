//! One request after the other becomes a task; its content goes into its pipe.

use std::error::Error;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;

use futures_util::Stream;
use oci_client::client::BlobResponse;
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::net::unix::pipe::Sender;
use tokio::task::LocalSet;

use crate::talk::Talk;
use crate::wire::{Failed, Request, What, Why};

/// What a manifest may be; whatever comes, pinfold looks at the bytes.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// One registry, one account.
pub struct Session {
    client: Client,
    location: String,
    login: RegistryAuth,
}

impl Session {
    /// Nothing is sent yet.
    pub fn new(client: Client, location: String, login: RegistryAuth) -> Rc<Self> {
        Rc::new(Self { client, location, login })
    }

    /// Until pinfold closes the socket.
    pub async fn serve(self: Rc<Self>, talk: &Talk) -> Result<(), Box<dyn Error>> {
        self.client.store_auth_if_needed(&self.location, &self.login).await;
        let (done, mut over) = tokio::sync::mpsc::unbounded_channel();
        let tasks = LocalSet::new();
        let requests = async {
            let mut requests = talk.requests()?;
            while let Some((request, pipe)) = requests.next().await? {
                let (session, done) = (self.clone(), done.clone());
                tasks.spawn_local(async move {
                    let id = request.id;
                    let failed = session.answer(request, pipe).await.err();
                    // Nobody listens any more when all is over.
                    done.send((id, failed)).ok();
                });
            }
            Ok::<(), Box<dyn Error>>(())
        };
        let replies = async {
            while let Some((id, failed)) = over.recv().await {
                talk.reply(id, failed, None)?;
            }
            Ok::<(), Box<dyn Error>>(())
        };
        let both = futures_util::future::select(Box::pin(requests), Box::pin(replies));
        tasks.run_until(both).await.factor_first().0
    }

    async fn answer(&self, request: Request, pipe: OwnedFd) -> Result<(), Failed> {
        let mut pipe = Sender::from_owned_fd(pipe).map_err(|error| broken(&error))?;
        let image = |reference: &str, is_digest: bool| {
            let (host, path) = (self.location.clone(), request.repository.clone());
            match is_digest {
                true => Reference::with_digest(host, path, reference.to_owned()),
                false => Reference::with_tag(host, path, reference.to_owned()),
            }
        };
        match &request.what {
            What::Tag(tag) => self.manifest(&image(tag, false), &mut pipe).await,
            What::Manifest(digest) => self.manifest(&image(digest, true), &mut pipe).await,
            What::Blob { digest, offset } => {
                self.blob(&image(digest, true), digest, *offset, &mut pipe).await
            }
        }
    }

    async fn manifest(&self, image: &Reference, pipe: &mut Sender) -> Result<(), Failed> {
        let got = self.client.pull_manifest_raw(image, &self.login, &ACCEPTED).await;
        let (bytes, _) = got.map_err(|error| Self::failed(&error))?;
        write(pipe, &bytes).await
    }

    async fn blob(
        &self,
        image: &Reference,
        digest: &str,
        offset: u64,
        pipe: &mut Sender,
    ) -> Result<(), Failed> {
        let got = match offset {
            0 => self.client.pull_blob_stream(image, digest).await.map(BlobResponse::Full),
            _ => self.client.pull_blob_stream_partial(image, digest, offset, None).await,
        };
        // A registry that does not know ranges sends all of it.
        let (mut stream, mut skip) = match got.map_err(|error| Self::failed(&error))? {
            BlobResponse::Full(sized) => (sized.stream, offset),
            BlobResponse::Partial(sized) => (sized.stream, 0),
        };
        while let Some(piece) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
            let piece = piece.map_err(|error| broken(&error))?;
            let seen = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= seen as u64;
            write(pipe, piece.get(seen..).unwrap_or_default()).await?;
        }
        Ok(())
    }

    fn failed(error: &OciDistributionError) -> Failed {
        let why = match error {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => Why::Unauthorized,
            OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first() {
                Some(first) => by_code(&first.code),
                None => Why::Refused,
            },
            OciDistributionError::ImageManifestNotFoundError(_) => Why::NotFound,
            OciDistributionError::ServerError { code, .. } => match code {
                401 | 403 => Why::Unauthorized,
                404 => Why::NotFound,
                408 | 429 | 500.. => Why::Broken,
                _ => Why::Refused,
            },
            OciDistributionError::RequestError(error) if error.is_connect() || error.is_timeout() => {
                match root(error).contains("certificate") {
                    true => Why::Refused,
                    false => Why::Broken,
                }
            }
            OciDistributionError::RequestError(error) if !error.is_redirect() => Why::Broken,
            OciDistributionError::IoError(_) => Why::Broken,
            _ => Why::Refused,
        };
        match denied(error) {
            // Only Landlock says so.
            true => {
                let text = "it leads to plain HTTP, or to a port that is not its own";
                Failed { why: Why::Refused, text: text.to_owned() }
            }
            false => Failed { why, text: root(error) },
        }
    }
}

fn denied(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn by_code(code: &OciErrorCode) -> Why {
    match code {
        OciErrorCode::Unauthorized | OciErrorCode::Denied => Why::Unauthorized,
        OciErrorCode::BlobUnknown
        | OciErrorCode::ManifestUnknown
        | OciErrorCode::ManifestBlobUnknown
        | OciErrorCode::NameUnknown
        | OciErrorCode::NotFound => Why::NotFound,
        OciErrorCode::Toomanyrequests => Why::Broken,
        _ => Why::Refused,
    }
}

async fn write(pipe: &mut Sender, mut bytes: &[u8]) -> Result<(), Failed> {
    while !bytes.is_empty() {
        pipe.writable().await.map_err(|error| broken(&error))?;
        match pipe.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(broken(&error)),
        }
    }
    Ok(())
}

fn broken(error: &dyn Error) -> Failed {
    Failed { why: Why::Broken, text: root(error) }
}

/// The outermost and the innermost of an error's causes: what was done, and why it failed.
fn root(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let (what, why) = (error.to_string(), inner.to_string());
    without_queries(&if what.contains(&why) { what } else { format!("{what}: {why}") })
}

/// The query of a URL to which a registry redirects is a secret: whoever has it may read the blob.
fn without_queries(text: &str) -> String {
    let mut parts = text.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        let end = part
            .find(|letter: char| letter.is_whitespace() || matches!(letter, ')' | '"'))
            .unwrap_or(part.len());
        kept + "?" + part.get(end..).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::without_queries;

    #[test]
    fn a_message_has_no_query() {
        let text = "error sending request for url (https://s.example/b?X-Sig=a&b=c?d): timed out (why?)";
        assert_eq!(
            without_queries(text),
            "error sending request for url (https://s.example/b??): timed out (why?)"
        );
        assert_eq!(without_queries("none"), "none");
    }
}
