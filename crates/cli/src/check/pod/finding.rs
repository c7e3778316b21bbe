//! What a check of a Pod finds. `docs/check.md` lists them; a test compares.

use super::super::finding::findings;
use crate::facts::owner::Commands;

findings! {
    /// See the module.
    PodFinding
    Pod { pod: String, phase: String, node: String } = Well "pod"
        "the Pod {pod} is {phase}{node}";

    NotEnabled { reason: String, label: &'static str } = Wrong "not_enabled"
        "the emulator is not asked for: {reason}"
        mend "metadata:    # of the Pod, or of the template that it is made by\n  labels:\n    {label}: \"True\"";
    Refused { reason: String } = Wrong "refused"
        "created anew, this Pod would be refused: {reason}";
    Uninjected { why: String, remedy: Commands } = Wrong "uninjected"
        "the Pod has the label, but not the emulator: {why}"
        mend "{remedy}";
    Changed { reason: String, remedy: Commands } = Wrong "changed"
        "{reason}"
        mend "{remedy}";
    InjectionChanged { reason: String, remedy: Commands } = Wrong "injection_changed"
        "{reason}"
        mend "{remedy}";
    InjectionIncomplete { what: String, remedy: Commands } = Wrong "injection_incomplete"
        "the injection in this Pod is not whole: another webhook or a person took away {what}"
        mend "{remedy}";
    OtherImage { container: &'static str, image: String, expected: String, of: String } = Warning "other_image"
        "{container} runs the image {image}, not {expected}, {of}"
        mend "# where no registry mirror and no other release put it there: find out who changed it, and create the Pod anew";
    InjectionExtended { place: String, what: String, unless: &'static str } = Warning "injection_extended"
        "{place} has what the injection does not write: {what}{unless}"
        mend "# remove it, where it does not belong there";
    Injected { how: String, role: String, subject: String } = Well "injected"
        "{how}: {role} for {subject}";
    Warned { sentence: String } = Warning "warned"
        "{sentence}";

    Order { containers: String } = Well "order"
        "your containers come after {containers}";
    OrderWrong { before: String } = Wrong "order_wrong"
        "{before} starts before ours: it finds no IMDS, or the node's own"
        mend "# another webhook put it there: have it called before imds-webhook (by name, in alphabetical order), or append";
    InitWithout { containers: String } = Warning "init_without"
        "the sidecar is a classic one, and starts after the init containers: no credentials there ({containers})"
        mend "helm upgrade imds-emulator deploy/chart --namespace imds-system --reuse-values --set settings.sidecar=native    # where every node runs 1.29 or later";
    Waits { why: String, pod: String, namespace: String } = Wrong "waits"
        "the Pod does not start: {why}"
        mend "kubectl describe pod {pod} --namespace {namespace}";
    Starting { container: String } = Warning "starting"
        "{container} has not started yet: look again in a moment";
    ContainerWaits { container: String, reason: String, said: String, pod: String, namespace: String } = Wrong "container_waits"
        "{container} does not run: {reason}{said}"
        mend "kubectl describe pod {pod} --namespace {namespace}";

    UserCrashes { container: String, code: i64, ports: &'static str } = Warning "user_crashes"
        "{container} does not run: CrashLoopBackOff, exit code {code}. Where its log says that an address is in use: the ports {ports} are the emulator's in this Pod"
        mend "# have it listen on another port";

    Redirect { said: String } = Well "redirect"
        "the interception is {said}";
    RedirectFailed { code: i64, said: String } = Wrong "redirect_failed"
        "the interception failed (exit code {code}): {said}";
    EmulatorEnded { code: i64, said: String, pod: String, namespace: String } = Wrong "emulator_ended"
        "the emulator has ended (exit code {code}): {said}"
        mend "kubectl logs {pod} --namespace {namespace} --container aws-imds-emulator";
    ImageChanged { from: String, image: String, said: String, remedy: Commands } = Wrong "image_changed"
        "the emulator's image was changed to {image}, from {from}, and it does not run{said}"
        mend "{remedy}";
    RestartedWithPod { } = Well "restarted_with_pod"
        "the emulator was restarted with all of the Pod, not by itself";
    EmulatorRestarted { times: u64, said: String, pod: String, namespace: String } = Warning "emulator_restarted"
        "the emulator was restarted ({times}): {said}"
        mend "kubectl logs {pod} --namespace {namespace} --container aws-imds-emulator --previous";
    EmulatorOom { times: u64, limit: String, annotation: &'static str } = Warning "emulator_oom"
        "the emulator was restarted ({times}): its memory was full (OOMKilled, limit {limit})"
        mend "metadata:\n  annotations:\n    {annotation}: 64Mi";

    EmulatorHangs { seconds: u64, remedy: Commands } = Wrong "emulator_hangs"
        "the emulator hangs: the API server reaches the Pod, but port 1339 gave no answer within {seconds} s"
        mend "{remedy}";
    Credentials { left: String, by: &'static str } = Well "credentials"
        "credentials are valid for {left} more{by}";
    RefreshFailing { left: String, said: String, command: Commands } = Warning "refresh_failing"
        "credentials are valid for {left} more, but they can't be refreshed: {said}"
        mend "{command}";
    NoCredentials { said: String, command: Commands } = Wrong "no_credentials"
        "there are no credentials: {said}"
        mend "{command}";
    CredentialsExpired { said: String, command: Commands } = Wrong "credentials_expired"
        "the credentials have expired: {said}"
        mend "{command}";

    Asked { times: String, in_vain: String } = Well "asked"
        "IMDS was asked {times}{in_vain}";
    NotAsked { } = Warning "not_asked"
        "nobody has asked for credentials yet: where the app has started, it finds others first, or needs none";
    ImdsV1 { clients: String, annotation: &'static str } = Warning "imdsv1"
        "IMDSv1 is still used, by {clients}: with http-tokens required they would get nothing"
        mend "# once nobody uses it:\nmetadata:\n  annotations:\n    {annotation}: required";
    ImdsV1Refused { times: String, annotation: &'static str } = Wrong "imdsv1_refused"
        "http-tokens is required, and a client that knows IMDSv1 alone was refused {times}"
        mend "metadata:\n  annotations:\n    {annotation}: optional";

    Token { audience: String } = Well "token"
        "the token (audience {audience}) is mounted by the emulator alone";
    TokenAbsent { what: &'static str } = Wrong "token_absent"
        "{what}: the emulator has no token to show to STS"
        mend "# remove the injected parts from the manifest, so that the Pod is injected anew";
    TokenShared { containers: String, volume: &'static str } = Warning "token_shared"
        "{containers} can read the emulator's token"
        mend "# remove the mount of the volume {volume}";

    AuthorizationShared { containers: String, volume: &'static str } = Warning "authorization_shared"
        "{containers}, added to the running Pod, can read what opens the container credentials endpoint"
        mend "# the volume {volume}: find out who added the container; it stays until the Pod is created anew";
    EphemeralNamed { container: String } = Warning "ephemeral_named"
        "the ephemeral container {container} bears a name of the injection, and is not part of it"
        mend "# find out who added it; it stays until the Pod is created anew";
    EphemeralTarget { container: String, target: String } = Warning "ephemeral_target"
        "the ephemeral container {container} shares the processes of {target}, whose token and credentials it may read"
        mend "# find out who added it; it stays until the Pod is created anew";

    NoOtherSource { further: String } = Well "no_other_source"
        "no environment variable or mount of your containers comes before IMDS{further}";
    OtherSource { container: String, what: String } = Warning "other_source"
        "container {container}: {what} comes before IMDS in an SDK's search for credentials"
        mend "# remove it, where this Pod's role is meant (docs/migrating.md)";
    ImdsDisabled { container: String } = Wrong "imds_disabled"
        "container {container}: AWS_EC2_METADATA_DISABLED switches IMDS off in SDKs"
        mend "# remove the variable";
    OtherEndpoint { container: String, value: String } = Warning "other_endpoint"
        "container {container}: AWS_EC2_METADATA_SERVICE_ENDPOINT is {value}: SDKs ask there"
        mend "# remove the variable";
    Proxied { container: String, variable: String, host: &'static str } = Warning "proxied"
        "container {container}: {variable} without {host} in NO_PROXY: some clients ask the proxy for IMDS"
        mend "env:\n- {{name: NO_PROXY, value: \"{host}\"}}    # beside what is in it";
    MetadataHidden { node: String, cloud: &'static str, interception: String, users: &'static str, annotation: &'static str } = Warning "metadata_hidden"
        "node {node} is of {cloud}, whose own metadata server has the address 169.254.169.254, too: interception {interception} hides it from the containers of this Pod (asked by {users})"
        mend "metadata:    # where the Pod needs it (docs/install.md, \"GKE and AKS\")\n  annotations:\n    {annotation}: endpoint";
    NodeImdsClosed { policy: String } = Well "node_imds_closed"
        "NetworkPolicy {policy} keeps the Pod from the node's IMDS, where the cluster's network enforces it";
    NodeImdsOpen { node: String, unless: String, annotation: &'static str } = Warning "node_imds_open"
        "{node}: with interception endpoint, a client that does not read AWS_EC2_METADATA_SERVICE_ENDPOINT connects to the node's IMDS at 169.254.169.254, and may get the node's role ({unless})"
        mend "metadata:    # or a NetworkPolicy (docs/security.md, \"The node's IMDS\")\n  annotations:\n    {annotation}: redirect";
    EndpointMissing { containers: String } = Warning "endpoint_missing"
        "interception is endpoint, and nothing tells {containers} of it: it came after the injection, or has an endpoint of its own";
}
