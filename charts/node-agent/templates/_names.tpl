{{- define "name" -}}
{{- if contains "node-agent" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-node-agent" (.Release.Name | trunc 40 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{/* What selects the pods; never changes. */}}
{{- define "selector" -}}
app.kubernetes.io/name: node-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "configuration" -}}
socket = "/run/cloudtaser/agent.sock"
allowed_uids = {{ .Values.allowedUids | toJson }}
{{- if .Values.endorsements }}
endorsements = [{{ .Values.endorsements | quote }}]
{{- end }}

{{ .Values.config | trim }}
{{- if .Values.pods.enabled }}

[pods]
{{- end }}
{{- if .Values.node.enabled }}

[kubernetes]
evict = {{ .Values.node.evict }}
{{- end }}
{{- end }}
