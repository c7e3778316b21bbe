{{- define "imds.labels" -}}
{{ include "imds.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "imds.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end }}

{{- /* An image that no registry has would leave labelled Pods uncreated from the first second on (failurePolicy Fail). */ -}}
{{- define "imds.pullable" -}}
{{- if and (hasPrefix "localhost/" .image) (not (contains "@" .image)) -}}
{{- if not .onNodes -}}
{{- fail (printf "%s is %s, which no node can pull. Push the image to a registry and set image.repository and image.tag (or image.digest); or load it into every node, for example with kind load image-archive, and set image.onNodes=true" .value .image) -}}
{{- end -}}
{{- if eq (.pullPolicy | default "") "Always" -}}
{{- fail (printf "%s is %s, which no node can pull, and the pull policy is Always: set it to IfNotPresent or Never" .value .image) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "imds.image" -}}
{{- with .Values.image -}}
{{- $image := printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- if .digest }}{{ $image = printf "%s@%s" .repository .digest }}{{ end -}}
{{- include "imds.pullable" (dict "value" "image.repository" "image" $image "onNodes" .onNodes "pullPolicy" .pullPolicy) -}}
{{ $image }}
{{- end -}}
{{- end }}

{{- /* The webhook's --config. An image of the operator's own brings its own pull policy. */ -}}
{{- define "imds.settings" -}}
{{- $defaults := dict -}}
{{- if not .Values.settings.image -}}
{{- $defaults = dict "image" (include "imds.image" .) "imagePullPolicy" .Values.image.pullPolicy -}}
{{- else -}}
{{- include "imds.pullable" (dict "value" "settings.image" "image" .Values.settings.image "onNodes" .Values.image.onNodes "pullPolicy" .Values.settings.imagePullPolicy) -}}
{{- end -}}
{{- mergeOverwrite $defaults (deepCopy .Values.settings) | toYaml -}}
{{- end }}

{{- define "imds.certificateSecret" -}}
{{- $given := .Values.certificates.secretName -}}
{{- if eq .Values.certificates.mode "secret" -}}
{{- required "certificates.mode secret: set certificates.secretName to the Secret with tls.crt and tls.key" $given -}}
{{- else if eq .Values.certificates.mode "cert-manager" -}}
{{- $given | default (printf "%s-tls" .Values.name) -}}
{{- else -}}
{{- $given | default (printf "%s-certificates" .Values.name) -}}
{{- end -}}
{{- end }}

{{- /* Whether the injected sidecar is a native one: as the webhook decides (crates/inject/src/settings.rs). */ -}}
{{- define "imds.native" -}}
{{- $sidecar := .Values.settings.sidecar | default "auto" -}}
{{- if or (eq $sidecar "native") (and (eq $sidecar "auto") (semverCompare ">=1.32-0" .Capabilities.KubeVersion.Version)) -}}
true
{{- end -}}
{{- end }}

{{- /* Whether the webhook's account is held to caBundle by a policy: where the server has the API, in Kubernetes 1.30 and later.
`helm template` does not know which kinds a server has; there the version decides. */ -}}
{{- define "imds.hasPolicy" -}}
{{- $own := eq .Values.certificates.mode "own" -}}
{{- $kindsAreKnown := .Capabilities.APIVersions.Has "v1/Pod" -}}
{{- $has := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy" -}}
{{- if and $own (or $has (not $kindsAreKnown)) (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) -}}
true
{{- end -}}
{{- end }}

{{- /* What the Restricted Pod Security Standard asks of a container, and a read-only root. */ -}}
{{- define "imds.containerSecurity" -}}
privileged: false
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65534
runAsGroup: 65534
seccompProfile:
  type: RuntimeDefault
{{- end }}
