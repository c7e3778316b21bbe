//! One exchange: the token file, read anew each time, for credentials from STS; and those for the credentials of further
//! roles, where there is a chain.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imds_contract::{Hop, RoleArn, RoleChain, SessionDuration, SessionName};
use imds_sts::{Answer, AssumeRole, AssumeRoleWithWebIdentity, Client, Remedy, Secret, TOKEN_LENGTH};

use crate::advice::{Advice, ExplainCommand};
use crate::clock::Clock;

/// Room for a token of the usual length, in bytes: kubelet's have about a thousand.
const USUAL_TOKEN: usize = 4 * 1024;

/// Something that gets credentials: STS, or a test's stand-in.
pub trait Exchange: Send + Sync + 'static {
    /// Asks once. No retry: the refresh loop alone retries.
    fn exchange(&self) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// Why an exchange failed, in words for a person and for the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it counts as in the metrics: a word of few.
    pub kind: &'static str,
    /// A sentence complete in itself. Never holds a token or a key.
    pub message: String,
    /// What helps.
    pub remedy: Remedy,
    /// How long STS asked us to wait.
    pub retry_after: Option<Duration>,
    /// Where trust was refused: what a person needs to find out why. For the log alone.
    pub advice: Option<Box<Advice>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<imds_sts::Failure> for Failure {
    fn from(failure: imds_sts::Failure) -> Self {
        Self {
            kind: failure.kind.as_str(),
            message: failure.to_string(),
            remedy: failure.remedy,
            retry_after: failure.retry_after,
            advice: None,
        }
    }
}

/// The real exchange.
#[derive(Debug)]
pub struct StsExchange<C> {
    /// The client of the endpoint.
    pub client: Client,
    /// The role to assume.
    pub role_arn: RoleArn,
    /// Further roles, each assumed with the credentials of the one before.
    pub role_chain: RoleChain,
    /// The name of every session of this Pod: the same for its whole life.
    pub session_name: SessionName,
    /// The life to ask for.
    pub session_duration: SessionDuration,
    /// The projected service-account token, which kubelet replaces before it expires.
    pub token_file: PathBuf,
    /// What tells a person why STS refused.
    pub explain: ExplainCommand,
    /// For signatures, where STS does not tell its own time.
    pub clock: C,
}

impl<C: Clock> Exchange for StsExchange<C> {
    async fn exchange(&self) -> Result<Answer, Failure> {
        let token = self.read_token().map_err(|failure| self.at_hop(0, failure))?;
        self.all_roles(&token).await.map_err(|failure| {
            let advice = Advice::on(failure.kind, token.expose(), &self.explain);
            Failure { advice: advice.map(Box::new), ..failure }
        })
    }
}

impl<C: Clock> StsExchange<C> {
    async fn all_roles(&self, token: &Secret) -> Result<Answer, Failure> {
        let hops = self.role_chain.hops();
        let first = self.first_role(hops.is_empty(), token).await;
        let mut answer = first.map_err(|failure| self.at_hop(0, failure.into()))?;
        for (index, hop) in hops.iter().enumerate() {
            let last = index + 1 == hops.len();
            answer = self
                .further_role(hop, last, &answer)
                .await
                .map_err(|failure| self.at_hop(index + 1, failure.into()))?;
        }
        Ok(answer)
    }

    async fn first_role(&self, last: bool, token: &Secret) -> Result<Answer, imds_sts::Failure> {
        let request = AssumeRoleWithWebIdentity {
            role_arn: &self.role_arn,
            session_name: &self.session_name,
            duration: self.duration(last),
            token,
        };
        self.client.ask(request.into()).await
    }

    async fn further_role(
        &self,
        hop: &Hop,
        last: bool,
        before: &Answer,
    ) -> Result<Answer, imds_sts::Failure> {
        let request = AssumeRole {
            hop,
            session_name: &self.session_name,
            duration: self.duration(last),
            credentials: &before.credentials,
            // By STS's own clock a wrong one of ours does no harm.
            time: before.date.unwrap_or_else(|| self.clock.now().wall),
        };
        self.client.ask(request.into()).await
    }

    /// What is only a step to the next role lives as short as STS allows.
    fn duration(&self, last: bool) -> SessionDuration {
        if last { self.session_duration } else { SessionDuration::SHORTEST }
    }

    /// Says at which role of a chain it failed.
    fn at_hop(&self, index: usize, failure: Failure) -> Failure {
        let hops = self.role_chain.hops();
        if hops.is_empty() {
            return failure;
        }
        let role =
            index.checked_sub(1).and_then(|hop| hops.get(hop)).map_or(&self.role_arn, |hop| &hop.role_arn);
        let message = format!("role {} of {}, {role}: {}", index + 1, hops.len() + 1, failure.message);
        Failure { message, ..failure }
    }

    /// Reads the token. Blocking, but a file of a few kilobytes in memory (tmpfs), once every half hour.
    fn read_token(&self) -> Result<Secret, Failure> {
        let failed = |what: &dyn fmt::Display| Failure {
            kind: "token_file",
            message: format!("can't use the token file {}: {what}", self.token_file.display()),
            remedy: Remedy::RereadToken,
            retry_after: None,
            advice: None,
        };
        let limit = TOKEN_LENGTH.end() + 1;
        // Room for most at once: a copy that a growing buffer leaves behind is wiped by the allocator alone.
        let mut text = zeroize::Zeroizing::new(String::with_capacity(USUAL_TOKEN));
        open_regular(&self.token_file)
            .and_then(|file| file.take(limit as u64).read_to_string(&mut text))
            .map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => failed(&format_args!(
                    "{error} (the projected volume must be readable for this container's uid: is fsGroup set on the Pod?)"
                )),
                _ => failed(&error),
            })?;
        let token = text.trim_end();
        if !TOKEN_LENGTH.contains(&token.len()) {
            let (least, most) = (TOKEN_LENGTH.start(), TOKEN_LENGTH.end());
            let held =
                if token.len() > *most { format!("more than {most}") } else { format!("fewer than {least}") };
            return Err(failed(&format_args!("it holds {held} characters, STS takes {least} to {most}")));
        }
        Ok(Secret::from(token))
    }
}

/// Opens a file that can be read without waiting: a pipe or a device could hold up everything.
fn open_regular(path: &Path) -> io::Result<File> {
    let without_waiting = rustix::fs::OFlags::NONBLOCK.bits();
    let flags = i32::try_from(without_waiting).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}
