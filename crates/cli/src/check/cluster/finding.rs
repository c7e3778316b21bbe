//! What a check of the cluster finds. `docs/check.md` lists them; a test compares.

use super::super::finding::findings;
use crate::facts::owner::Commands;

findings! {
    /// See the module.
    ClusterFinding
    Server { version: String, place: String } = Well "server"
        "the API server is Kubernetes {version}{place}";
    ServerOld { version: String, oldest: String, place: String } = Warning "server_old"
        "the API server is Kubernetes {version}{place}; {oldest} is the oldest that is supported";

    Registered { configuration: String, policy: String, timeout: u64, namespaces: String } = Well "registered"
        "the webhook is registered: MutatingWebhookConfiguration {configuration}, failurePolicy {policy}, asked about labelled Pods of {namespaces}";
    NotRegistered { webhook: &'static str } = Wrong "not_registered"
        "no MutatingWebhookConfiguration has the webhook {webhook}: no Pod is injected"
        mend "helm install imds-emulator deploy/chart --namespace imds-system --create-namespace --set image.repository=REPOSITORY --set image.tag=TAG    # docs/install.md";
    RegisteredTwice { configurations: String } = Warning "registered_twice"
        "several MutatingWebhookConfigurations have the webhook, and each is asked about every labelled Pod: {configurations}"
        mend "helm uninstall RELEASE --namespace NAMESPACE    # the one that is not wanted";
    PolicyIgnore { namespace: String, release: String } = Warning "policy_ignore"
        "failurePolicy is Ignore: while no replica answers, labelled Pods are created without the emulator, and find the node's IMDS where there is one"
        mend "helm upgrade {release} deploy/chart --namespace {namespace} --reuse-values --set webhook.failurePolicy=Fail";
    SelectorMisses { label: &'static str, configuration: String } = Wrong "selector_misses"
        "the webhook's objectSelector does not select Pods with the label {label}: \"True\": they are not injected"
        mend "kubectl edit mutatingwebhookconfiguration {configuration}\nobjectSelector:\n  matchExpressions:\n  - {{key: {label}, operator: In, values: [\"True\"]}}";
    SelectorWide { label: &'static str, configuration: String } = Warning "selector_wide"
        "the webhook's objectSelector selects Pods without the label too: with failurePolicy Fail no Pod can be created while no replica answers"
        mend "kubectl edit mutatingwebhookconfiguration {configuration}\nobjectSelector:\n  matchExpressions:\n  - {{key: {label}, operator: In, values: [\"True\"]}}";
    RulesMiss { configuration: String } = Wrong "rules_miss"
        "the webhook's rules do not name the creation of Pods: no Pod is injected"
        mend "kubectl edit mutatingwebhookconfiguration {configuration}\nrules:\n- {{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}}";

    Injects { namespace: String, how: String, image: String } = Well "injects"
        "a labelled Pod is {how} (a dry run in {namespace}), image {image}";
    NotInjected { namespace: String, why: String, name: String, of_webhook: String } = Wrong "not_injected"
        "a labelled Pod is created in {namespace} without the emulator (a dry run): {why}"
        mend "kubectl logs deployment/{name} --namespace {of_webhook} --tail=20";
    DeniedByWebhook { namespace: String, said: String } = Wrong "denied_by_webhook"
        "the webhook refuses a plain labelled Pod in {namespace} (a dry run): {said}";
    RefusedByOthers { namespace: String, said: String } = Warning "refused_by_others"
        "something else than the webhook refuses a labelled Pod in {namespace} (a dry run): {said}"
        mend "kubectl imds check -n NAMESPACE    # one where Pods may be created";
    NoEndpoints { namespace: String, service: String } = Wrong "no_endpoints"
        "labelled Pods can't be created: the Service {service} has no ready replica behind it"
        mend "kubectl get pods --namespace {namespace}";
    ServiceAbsent { namespace: String, service: String, release: String } = Wrong "service_absent"
        "labelled Pods can't be created: the Service {service} in {namespace}, which the API server is to call, does not exist"
        mend "helm upgrade {release} deploy/chart --namespace {namespace} --reuse-values";
    WebhookTimeout { timeout: u64, namespace: String } = Wrong "webhook_timeout"
        "labelled Pods can't be created: the API server has no answer of the webhook within {timeout} s"
        mend "let the control plane reach TCP 8443 of the Pods in {namespace} (docs/install.md, \"Networks\")";
    AuthorityUnknown { namespace: String, name: String } = Wrong "authority_unknown"
        "labelled Pods can't be created: the API server does not trust the webhook's certificate, because caBundle does not fit it"
        mend "kubectl logs deployment/{name} --namespace {namespace} --tail=20    # certificates.mode own: puts it right within a minute";
    CertificateName { said: String } = Wrong "certificate_name"
        "labelled Pods can't be created: the API server does not take the webhook's certificate: {said}"
        mend "issue it for the DNS name SERVICE.NAMESPACE.svc (certificates.mode secret)";
    CertificateExpired { namespace: String, name: String } = Wrong "certificate_expired"
        "labelled Pods can't be created: the webhook's serving certificate has expired"
        mend "kubectl rollout restart deployment/{name} --namespace {namespace}    # certificates.mode secret: renew the Secret first";
    CallFailed { said: String, namespace: String, name: String } = Wrong "call_failed"
        "labelled Pods can't be created: the API server can't call the webhook: {said}"
        mend "kubectl logs deployment/{name} --namespace {namespace} --tail=20";

    Replicas { ready: usize, deployment: String, image: String, version: String } = Well "replicas"
        "{ready} of {ready} replicas of deployment/{deployment} are ready, image {image}{version}";
    ReplicasFew { ready: usize, wanted: usize, deployment: String, namespace: String, why: String } = Warning "replicas_few"
        "{ready} of {wanted} replicas of deployment/{deployment} in {namespace} are ready{why}"
        mend "kubectl describe pods --namespace {namespace}";
    ReplicasNone { wanted: usize, deployment: String, namespace: String, why: String } = Wrong "replicas_none"
        "none of {wanted} replicas of deployment/{deployment} in {namespace} is ready{why}"
        mend "kubectl describe pods --namespace {namespace}";
    ScaledToNone { deployment: String, namespace: String } = Wrong "scaled_to_none"
        "deployment/{deployment} in {namespace} is scaled to 0: nobody answers for the webhook"
        mend "kubectl scale deployment/{deployment} --namespace {namespace} --replicas 2";
    ReplicaSingle { deployment: String, namespace: String, release: String } = Warning "replica_single"
        "deployment/{deployment} in {namespace} is one replica: labelled Pods can't be created while it is replaced"
        mend "helm upgrade {release} deploy/chart --namespace {namespace} --reuse-values --set replicas=2";
    DeploymentAbsent { service: String, namespace: String } = Warning "deployment_absent"
        "no Deployment in {namespace} makes the Pods that the Service {service} leads to";
    Elsewhere { url: String } = Warning "webhook_elsewhere"
        "the webhook is outside of the cluster, at {url}: replicas and certificate were not looked at";
    ReplicaImages { images: String, namespace: String, name: String } = Warning "replica_images"
        "the replicas run different images: {images}"
        mend "kubectl rollout status deployment/{name} --namespace {namespace}";
    VersionDiffers { webhook: String, own: &'static str } = Warning "version_differs"
        "the webhook is of version {webhook}, this program of {own}: what it says of labels, annotations and injected Pods is what {own} does";

    Certificate { left: String } = Well "certificate"
        "the serving certificate is valid for {left} more";
    CertificateEnds { left: String, namespace: String, name: String } = Warning "certificate_ends"
        "the serving certificate is valid for {left} more, and should have been renewed"
        mend "kubectl logs deployment/{name} --namespace {namespace} --tail=20";
    Authority { secret: String } = Well "authority"
        "caBundle has the authority that is in the Secret {secret}";
    BundleEmpty { configuration: String, namespace: String, name: String } = Wrong "bundle_empty"
        "caBundle of MutatingWebhookConfiguration {configuration} is empty: the API server trusts no certificate of the webhook"
        mend "kubectl logs deployment/{name} --namespace {namespace} --tail=20    # certificates.mode secret: set certificates.caBundle";
    BundleOther { configuration: String, secret: String, namespace: String, name: String } = Wrong "bundle_other"
        "caBundle of MutatingWebhookConfiguration {configuration} does not have the authority that is in the Secret {secret}"
        mend "kubectl logs deployment/{name} --namespace {namespace} --tail=20    # certificates.mode own: puts it right within a minute";

    Guarded { account: String, policy: String } = Well "webhook_guarded"
        "{account} may change caBundle and nothing else of its configuration: ValidatingAdmissionPolicy {policy}";
    Unguarded { account: String, why: String, release: String, namespace: String, how: &'static str } = Warning "webhook_unguarded"
        "{account} may change its whole configuration, so that with a stolen token of it every object of the cluster can be read and changed: {why}"
        mend "helm upgrade {release} deploy/chart --namespace {namespace} --reuse-values{how}";

    PodSecurity { interception: String } = Well "pod_security"
        "no namespace enforces a Pod Security Standard that refuses interception {interception}";
    PodSecurityEnforced { namespaces: String, interception: String, annotation: &'static str } = Warning "pod_security_enforced"
        "Baseline or Restricted is enforced in {namespaces}, and refuses NET_ADMIN of interception {interception}: a labelled Pod there needs interception endpoint"
        mend "metadata:\n  annotations:\n    {annotation}: endpoint";
    PodSecurityRefuses { workload: String, level: String, interception: String, annotation: &'static str } = Wrong "pod_security_refuses"
        "{workload}: its Pods are refused: its namespace enforces {level}, and interception {interception} needs NET_ADMIN"
        mend "spec:\n  template:\n    metadata:\n      annotations:\n        {annotation}: endpoint";

    NamespaceAbsent { namespace: String } = Wrong "namespace_absent"
        "there is no namespace {namespace} in this cluster"
        mend "kubectl get namespaces";
    ContextNamespaceAbsent { namespace: String } = Warning "context_namespace_absent"
        "the context's namespace {namespace} does not exist in this cluster: what is asked without -n finds nothing"
        mend "kubectl config set-context --current --namespace=default";
    MetadataHidden { nodes: String, cloud: &'static str, interception: String, users: &'static str, annotation: &'static str } = Warning "metadata_hidden"
        "{nodes} of {cloud}, whose own metadata server has the address 169.254.169.254, too: interception {interception} hides it from every container of a labelled Pod (asked by {users})"
        mend "metadata:    # of Pods that need it; settings.interception for all (docs/install.md, \"GKE and AKS\")\n  annotations:\n    {annotation}: endpoint";

    Pods { injected: String, image: String } = Well "pods"
        "{injected} with the emulator{image} (not asked whether with credentials: kubectl imds check POD)";
    NoPods { } = Well "no_pods"
        "no Pod with the label runs yet";
    Uninjected { pods: String, why: String, remedy: Commands } = Wrong "uninjected"
        "labelled, but without the emulator: {pods}: {why}"
        mend "{remedy}";
    OldImage { pods: String, image: String, remedy: Commands } = Warning "old_image"
        "another image than new Pods get ({image}) is in {pods}"
        mend "{remedy}";
    Unwell { pod: String, how: String, command: Commands } = Wrong "unwell"
        "{pod}: the emulator {how}"
        mend "{command}";
    Restarted { pod: String, how: String, command: Commands } = Warning "restarted"
        "{pod}: the emulator {how}"
        mend "{command}";
    Warned { who: String, sentence: String } = Warning "warned"
        "{who}: {sentence}";
    NotWarned { } = Well "not_warned"
        "no label or annotation of Pods, or of what makes Pods, is a near miss";
    WorkloadRefused { workload: String, reason: String } = Wrong "workload_refused"
        "{workload}: its Pods are refused: {reason}";
    RefusedLately { object: String, ago: String, said: String, remedy: Commands } = Warning "refused_lately"
        "{object} could not create a Pod, last {ago} ago: {said}"
        mend "{remedy}";

    Issuer { issuer: String } = Well "issuer"
        "the issuer of the cluster's tokens is {issuer}";
    IssuerPrivate { issuer: String } = Warning "issuer_private"
        "the issuer of the cluster's tokens is {issuer}, which AWS can't read: no role can trust them"
        mend "publish one: docs/install.md, \"Publish the issuer\"";
}
