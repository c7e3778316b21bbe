//! The Pod's life: init container, STS, token, sidecar, the client; and its orderly end.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use imds_contract::{HttpTokens, Interception, SessionDuration, address, environment, pod};
use imds_inject::Injection;
use imds_local_sts::{Claims, Config, LocalSts, Mode, Projection, Role, TrustedRole};
use nix::unistd::Gid;
use serde_json::Value;
use tokio::time::sleep;

use super::http::request;
use super::interrupts::Interrupts;
use super::kubelet::{Environment, Process, container};
use super::namespace::Kind;
use super::plan::{Place, Plan, Ports};
use super::program::Program;
use super::transcript::Expected;
use super::users::Users;
use super::{command, interception, program, transcript};
use crate::arguments::RunArguments;
use crate::output::{Output, Stopwatch};

/// From one look at `/startupz` to the next. kubelet's probe has a second.
const BETWEEN_PROBES: Duration = Duration::from_millis(10);

/// When a person wonders what is going on.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much of the log is shown beside the command's own output.
const LAST_LINES: usize = 10;

/// What STS allows any role at most: whatever the Pod asks for shall not fail at this one.
const LONGEST_SESSION: &str = "43200";

/// Runs the Pod and the client; the client's code.
pub(crate) async fn run(
    plan: &Plan,
    kind: Option<Kind>,
    users: Users,
    arguments: &RunArguments,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let echo = (arguments.verbose || arguments.keep).then_some(output);
    let start = Session::start(plan, kind, users, echo, output);
    let mut session = match interrupts.race(start).await {
        Ok(session) => session?,
        Err(interrupted) => return Ok(interrupted.code()),
    };
    let code = session.run_client(plan, arguments, &mut interrupts, output).await;
    let code = match code {
        Ok(code) if arguments.keep => session.stay(plan, kind, code, &mut interrupts, output).await,
        code => code,
    };
    session.emulator.stop().await;
    code
}

/// What runs. Dropping it ends it at once.
struct Session {
    emulator: Program,
    http_tokens: HttpTokens,
    /// Serves as long as it is held.
    _sts: LocalSts,
}

impl Session {
    async fn start(
        plan: &Plan,
        kind: Option<Kind>,
        users: Users,
        echo: Option<&Output>,
        output: &Output,
    ) -> anyhow::Result<Self> {
        run_redirect(plan, kind, users, echo, output).await?;
        let emulator =
            container(&plan.pod, pod::EMULATOR_CONTAINER).context("the emulator is not in the Pod")?;
        let mut process = Process::of(emulator, &plan.facts)?;
        if users == Users::AsInSpec {
            let group = process.group.or(process.user).context("the emulator has no user")?;
            let opened = plan.folder.open_to(Gid::from_raw(group));
            opened.context("cannot open the folder to the emulator's group")?;
        }
        let sts = start_sts(plan, output)?;
        plan.folder.make_empty_dir(pod::AUTHORIZATION_VOLUME).context("cannot make a folder")?;
        for volume in [pod::TOKEN_VOLUME, pod::AUTHORIZATION_VOLUME] {
            process.mount_locally(volume, &plan.folder.volume(volume));
        }
        if let Place::Host(ports) = plan.place {
            move_ports(&mut process, ports, output);
        }
        let http_tokens =
            process.variable(environment::HTTP_TOKENS).unwrap_or_default().parse().unwrap_or_default();
        let emulator = start_emulator(&process, plan.place.admin(), users, echo, output).await?;
        Ok(Self { emulator, http_tokens, _sts: sts })
    }

    async fn run_client(
        &mut self,
        plan: &Plan,
        arguments: &RunArguments,
        interrupts: &mut Interrupts,
        output: &Output,
    ) -> anyhow::Result<ExitCode> {
        if !arguments.command.is_empty() {
            return self.run_command(plan, &arguments.command, interrupts, output).await;
        }
        let expected = Expected {
            server: plan.imds(),
            role: plan.injection.served_role().name(),
            http_tokens: self.http_tokens,
        };
        match interrupts.race(transcript::show(&expected, output)).await {
            Ok(Ok(left)) => {
                let minutes = left.as_secs() / 60;
                let clients = match self.http_tokens {
                    HttpTokens::Optional => "An IMDSv1 and an IMDSv2 client",
                    HttpTokens::Required => "An IMDSv2 client",
                };
                output.verdict(format_args!(
                    "{clients} got credentials of {}, good for {minutes} minutes (fake ones, from the local STS)",
                    expected.role
                ))?;
                if !arguments.keep {
                    output.detail(
                        "Run a client of yours in there with `-- COMMAND`, or look around with `--keep`.",
                    );
                }
                Ok(ExitCode::SUCCESS)
            }
            Ok(Err(error)) => {
                output.failure(format_args!("Not as it should be: {error:#}"));
                output.plain(format_args!("{} said:", self.emulator.name()));
                output.details(self.emulator.lines());
                Ok(ExitCode::FAILURE)
            }
            Err(interrupted) => Ok(interrupted.code()),
        }
    }

    /// Runs the user's command, and tells if it has lost its emulator meanwhile.
    async fn run_command(
        &mut self,
        plan: &Plan,
        command: &[OsString],
        interrupts: &mut Interrupts,
        output: &Output,
    ) -> anyhow::Result<ExitCode> {
        let Environment { variables, left_out } = client_environment(plan);
        if !left_out.is_empty() {
            output.detail(format_args!("left out: {}; only a cluster has them", left_out.join(", ")));
        }
        let env = command::environment(std::env::vars_os(), variables);
        let mut command = pin!(command::run(command, env, interrupts));
        let ended = tokio::select! {
            code = &mut command => return code,
            ended = self.emulator.ended() => ended?,
        };
        output.failure(format_args!("{} ended with {ended} while the command runs", self.emulator.name()));
        let lines = self.emulator.lines();
        let last = lines.len().saturating_sub(LAST_LINES);
        output.details(lines.get(last..).unwrap_or_default());
        command.await
    }

    /// Stays up until told to stop; says how to come in.
    async fn stay(
        &mut self,
        plan: &Plan,
        kind: Option<Kind>,
        code: ExitCode,
        interrupts: &mut Interrupts,
        output: &Output,
    ) -> anyhow::Result<ExitCode> {
        output.plain("");
        output.plain("Staying up until Ctrl-C. In another terminal:");
        output.plain("");
        for line in ways_in(plan, kind) {
            output.detail(line);
        }
        output.plain("");
        tokio::select! {
            _ = interrupts.next() => Ok(code),
            status = self.emulator.ended() => bail!(self.emulator.failed(format_args!("ended with {}", status?))),
        }
    }
}

async fn run_redirect(
    plan: &Plan,
    kind: Option<Kind>,
    users: Users,
    echo: Option<&Output>,
    output: &Output,
) -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    if let Some(done) = interception::put_in_place(&plan.pod, &plan.facts, kind, users, echo).await? {
        let command_line = command_line(&done.process, users);
        output.step(stopwatch, format_args!("Ran the init container: {command_line}"));
        if echo.is_none() {
            output.details(&done.lines);
        }
    }
    Ok(())
}

fn start_sts(plan: &Plan, output: &Output) -> anyhow::Result<LocalSts> {
    let stopwatch = Stopwatch::start();
    let volume = plan.folder.volume(pod::TOKEN_VOLUME);
    let mut claims = Claims::new(&plan.facts.namespace, &plan.facts.service_account, &plan.facts.name);
    claims.audience.clone_from(&plan.token_audience);
    let sts = LocalSts::start(Config {
        listen: plan.place.sts(),
        audience: plan.token_audience.clone(),
        roles: roles(&plan.injection),
        // As kubelet does for a Pod of several users; the folder above keeps others out.
        token: Some(Projection { directory: volume.clone(), mode: Mode::Everyone, claims }),
        ..Config::default()
    })
    .context("cannot start the local STS")?;
    let ca_pem = sts.ca_pem().context("the local STS has no certificate")?;
    plan.folder.write_ca_bundle(&ca_pem).context("cannot write the local STS's certificate")?;
    output.step(stopwatch, format_args!("Started a local STS: {}", sts.url()));
    output.detail(format_args!("it gives the role to {} alone", plan.injection.subject));
    output.detail(format_args!(
        "its token: {}, here in place of {}",
        volume.display(),
        pod::TOKEN_MOUNT_PATH
    ));
    Ok(sts)
}

/// The Pod's role, which trusts the Pod, and its further roles, of which each trusts the one before.
fn roles(injection: &Injection) -> Vec<Role> {
    let first = Role {
        arn: injection.role.clone(),
        subjects: vec![injection.subject.clone()],
        trusted_roles: Vec::new(),
        max_session: LONGEST_SESSION.parse().unwrap_or(SessionDuration::DEFAULT),
    };
    let hops = injection.role_chain.hops();
    let before = [&injection.role].into_iter().chain(hops.iter().map(|hop| &hop.role_arn));
    let further = before.zip(hops).map(|(before, hop)| {
        let trusted = TrustedRole { arn: before.clone(), external_id: hop.external_id.clone() };
        Role::chained(hop.role_arn.clone(), trusted)
    });
    [first].into_iter().chain(further).collect()
}

async fn start_emulator(
    process: &Process,
    admin: SocketAddr,
    users: Users,
    echo: Option<&Output>,
    output: &Output,
) -> anyhow::Result<Program> {
    let stopwatch = Stopwatch::start();
    let mut emulator = Program::start(&program::of(process)?, process, users, echo)?;
    let mut told = false;
    loop {
        // Nobody listens yet, or it is not ready: the same to the gate.
        let answer = request(admin, "GET", "/startupz", &[]).await.ok();
        if answer.as_ref().is_some_and(|answer| answer.status == 200) {
            break;
        }
        if !told && stopwatch.elapsed() > PATIENCE {
            let body = answer.map(|answer| answer.body).unwrap_or_default();
            output.warning("The emulator waits for its first credentials");
            output.details(body.lines());
            told = true;
        }
        tokio::select! {
            status = emulator.ended() => {
                bail!(emulator.failed(format_args!("ended with {}", status?)));
            }
            () = sleep(BETWEEN_PROBES) => {}
        }
    }
    output.step(stopwatch, format_args!("Started the sidecar: {}", command_line(process, users)));
    // kubelet starts it at once. Here it comes last, so that what is waited for can be told.
    if let Some(gate) = process.post_start() {
        pass_gate(&gate, &mut emulator, users, echo, output).await?;
    }
    let ready = request(admin, "GET", "/readyz", &[]).await.context("the sidecar does not answer")?;
    if ready.status != 200 {
        output.warning("It started without credentials");
    }
    output.details(ready.body.lines());
    Ok(emulator)
}

/// The hook of the sidecar: kubelet starts no other container before it has ended, and kills this one if it fails.
async fn pass_gate(
    gate: &Process,
    emulator: &mut Program,
    users: Users,
    echo: Option<&Output>,
    output: &Output,
) -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    let running = Program::start(&program::of(gate)?, gate, users, echo)?;
    tokio::select! {
        passed = running.succeeded() => {
            if let Err(error) = passed {
                return Err(error.context(emulator.failed("did not pass its postStart gate")));
            }
        }
        status = emulator.ended() => {
            bail!(emulator.failed(format_args!("ended with {}", status?)));
        }
    }
    output.step(stopwatch, format_args!("Passed the sidecar's postStart gate: {}", gate.command.join(" ")));
    Ok(())
}

fn command_line(process: &Process, users: Users) -> String {
    let user = match (users, process.user) {
        (Users::AsInSpec, Some(user)) => format!(" (uid {user})"),
        _ => String::new(),
    };
    format!("{}{user}", process.command.join(" "))
}

/// On the machine's own network the Pod's ports may be taken: others stand in for them.
fn move_ports(emulator: &mut Process, ports: Ports, output: &Output) {
    let Ports { imds, admin, .. } = ports;
    for (name, port) in [(environment::LISTEN, imds), (environment::ADMIN_LISTEN, admin)] {
        emulator.env.push((name.to_owned(), format!("127.0.0.1:{port}")));
    }
    output.detail(format_args!("the sidecar's ports: {imds} and {admin}, here in place of 1338 and 1339"));
}

/// What the user's first container would have, as far as it stands in the Pod.
fn client_environment(plan: &Plan) -> Environment {
    let mut containers = plan.pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let is_ours =
        |container: &&Value| container.get("name").and_then(Value::as_str) == Some(pod::EMULATOR_CONTAINER);
    let first = containers.find(|container| !is_ours(container));
    let Some(first) = first else { return Environment::default() };
    let mut env = Environment::of(first, &plan.facts);
    env.mount_locally(first, pod::AUTHORIZATION_VOLUME, &plan.folder.volume(pod::AUTHORIZATION_VOLUME));
    if let Place::Host(ports) = plan.place {
        let injected = format!("http://127.0.0.1:{}/", address::EMULATOR_PORT);
        let told = [environment::EC2_METADATA_SERVICE_ENDPOINT, environment::CONTAINER_CREDENTIALS_FULL_URI];
        for (_, value) in env.variables.iter_mut().filter(|(name, _)| told.contains(&name.as_str())) {
            if let Some(path) = value.strip_prefix(&injected) {
                *value = format!("http://127.0.0.1:{}/{path}", ports.imds);
            }
        }
    }
    env
}

fn ways_in(plan: &Plan, kind: Option<Kind>) -> Vec<String> {
    let imds = plan.imds();
    let host = if imds.port() == address::IMDS_PORT { imds.ip().to_string() } else { imds.to_string() };
    let curl = format!("curl -s http://{host}/latest/meta-data/iam/security-credentials/");
    let variable = format!("{}=http://{host}/", environment::EC2_METADATA_SERVICE_ENDPOINT);
    let pid = std::process::id();
    let enter = match kind {
        None => return vec![curl, format!("export {variable}")],
        Some(Kind::Root) => format!("nsenter -t {pid} -n"),
        Some(Kind::User) => format!("nsenter -t {pid} -U --preserve-credentials -n"),
    };
    let shell = match plan.injection.interception {
        Interception::Endpoint => format!("env {variable} sh"),
        Interception::Redirect | Interception::Address => "sh".to_owned(),
    };
    vec![format!("{enter} {curl}"), format!("{enter} {shell}")]
}
