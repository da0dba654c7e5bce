{{- define "name" -}}
{{- if contains "enforcer" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-enforcer" (.Release.Name | trunc 40 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{/* What selects the pods; never changes. */}}
{{- define "selector" -}}
app: cloudtaser-ebpf
app.kubernetes.io/name: enforcer
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
