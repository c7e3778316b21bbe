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

{{- define "imds.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- /* The webhook's --config. An image of the operator's own brings its own pull policy. */ -}}
{{- define "imds.settings" -}}
{{- $defaults := dict -}}
{{- if not .Values.settings.image -}}
{{- $defaults = dict "image" (include "imds.image" .) "imagePullPolicy" .Values.image.pullPolicy -}}
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
