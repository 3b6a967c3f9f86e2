{{- define "tenantry.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The longest suffix is "-control-plane": names of services have 63 characters at most. */}}
{{- define "tenantry.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains (include "tenantry.name" .) .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tenantry.name" .) | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tenantry.selector" -}}
app.kubernetes.io/name: {{ include "tenantry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tenantry.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tenantry.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tenantry
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Metadata of an object of a component: list of root, component, and what its name ends in. */}}
{{- define "tenantry.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "tenantry.fullname" $root }}-{{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "tenantry.labels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "tenantry.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* What the pod standard `restricted` asks for. Fixed, but for the numbers. */}}
{{- define "tenantry.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  {{- with .Values.podSecurityContext.runAsUser }}
  runAsUser: {{ . }}
  {{- end }}
  {{- with .Values.podSecurityContext.runAsGroup }}
  runAsGroup: {{ . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tenantry.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "tenantry.registryCluster" -}}
{{ include "tenantry.fullname" . }}-registry
{{- end }}

{{- define "tenantry.env.log" -}}
- name: TENANTRY_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: TENANTRY_LOG
  value: {{ .Values.log.filter | quote }}
{{- end }}

{{- define "tenantry.env.registry" -}}
- name: TENANTRY_DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- if .Values.registry.cloudnativePg.enabled }}
      # Made by CloudNativePG.
      name: {{ include "tenantry.registryCluster" . }}-app
      key: uri
      {{- else }}
      name: {{ required "registry.existingSecret.name is empty: name the secret with the registry's URL, or set registry.cloudnativePg.enabled" .Values.registry.existingSecret.name }}
      key: {{ .Values.registry.existingSecret.key }}
      {{- end }}
{{- if .Values.registry.cloudnativePg.enabled }}
# The URL says nothing of TLS.
- name: PGSSLMODE
  value: verify-full
{{- end }}
{{- if include "tenantry.registryCa" . }}
- name: PGSSLROOTCERT
  value: /etc/tenantry/registry/ca.pem
{{- end }}
- name: TENANTRY_REGISTRY_CONNECTIONS
  value: {{ .Values.registry.connections | quote }}
- name: TENANTRY_REGISTRY_TIMEOUT
  value: {{ .Values.registry.timeoutSeconds | quote }}
{{- end }}

{{/* The volume with the CA of the registry's server; empty: public ones will do. */}}
{{- define "tenantry.registryCa" -}}
{{- if .Values.registry.cloudnativePg.enabled -}}
- name: registry-ca
  secret:
    # Made by CloudNativePG. Its key stays there.
    secretName: {{ include "tenantry.registryCluster" . }}-ca
    defaultMode: 0444
    items:
      - key: ca.crt
        path: ca.pem
{{- else if .Values.registry.ca.configMap -}}
- name: registry-ca
  configMap:
    name: {{ .Values.registry.ca.configMap }}
    items:
      - key: {{ .Values.registry.ca.key }}
        path: ca.pem
{{- end }}
{{- end }}

{{- define "tenantry.registryCaMount" -}}
{{- if include "tenantry.registryCa" . -}}
- name: registry-ca
  mountPath: /etc/tenantry/registry
  readOnly: true
{{- end }}
{{- end }}

{{/* What every role is told. */}}
{{- define "tenantry.env.role" -}}
{{ include "tenantry.env.registry" . }}
- name: TENANTRY_KEK_FILE
  value: /etc/tenantry/kek/kek
{{- with .Values.kek.awsKmsKey }}
- name: TENANTRY_KEK_KMS_KEY
  value: {{ . | quote }}
{{- end }}
- name: TENANTRY_ADMIN_ADDR
  value: "{{ .Values.listenAddress }}:9180"
{{ include "tenantry.env.log" . }}
{{- end }}

{{/* What both planes are told: list of root and the plane's values. */}}
{{- define "tenantry.env.plane" -}}
{{- $plane := index . 1 -}}
- name: TENANTRY_BASE_DOMAIN
  value: {{ (index . 0).Values.baseDomain | quote }}
- name: TENANTRY_DRAIN
  value: {{ $plane.drainSeconds | quote }}
- name: TENANTRY_MAX_CONNECTIONS
  value: {{ $plane.maxConnections | int64 | quote }}
- name: TENANTRY_MAX_CONNECTIONS_PER_ADDRESS
  value: {{ $plane.maxConnectionsPerAddress | int64 | quote }}
- name: TENANTRY_ACCESS_LOG
  value: {{ $plane.accessLog | quote }}
{{- end }}

{{- define "tenantry.askUrl" -}}
http://{{ include "tenantry.fullname" . }}-data-plane.{{ .Release.Namespace }}.svc:{{ .Values.dataPlane.service.port }}/.well-known/tenantry/ask
{{- end }}

{{- define "tenantry.controlPlaneHost" -}}
{{ index . 1 | default (printf "api.%s" (index . 0).Values.baseDomain) }}
{{- end }}

{{/*
A deployment of a role. Takes: root, role, values, args, env (text), port (none: it serves nobody), grace, strategy;
volumes and mounts (text), token (whether it asks the Kubernetes API).
*/}}
{{- define "tenantry.deployment" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $selector := printf "%s\napp.kubernetes.io/component: %s" (include "tenantry.selector" $root) .role -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "tenantry.metadata" (list $root .role .role) | nindent 2 }}
spec:
  {{- if not (and $values.autoscaling $values.autoscaling.enabled) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      # A new pod is ready before an old one is told to stop.
      maxUnavailable: 0
      maxSurge: 1
  template:
    metadata:
      labels:
        {{- include "tenantry.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .role }}
        tenantry.io/scrape: "true"
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: tenantry
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "tenantry.fullname" $root }}-{{ .role }}
      {{- $security := include "tenantry.podSecurity" $root }}
      {{- if .token }}
      {{- $security = replace "automountServiceAccountToken: false" "automountServiceAccountToken: true" $security }}
      {{- end }}
      {{- $security | nindent 6 }}
      terminationGracePeriodSeconds: {{ .grace }}
      enableServiceLinks: false
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      containers:
        - name: tenantry
          image: {{ include "tenantry.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .role }}]
          {{- include "tenantry.containerSecurity" $root | nindent 10 }}
          env:
            {{- include "tenantry.env.role" $root | nindent 12 }}
            {{- .env | nindent 12 }}
            {{- with $values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            {{- with .port }}
            - name: http
              containerPort: {{ . }}
            {{- end }}
            - name: admin
              containerPort: 9180
          # It lives while it answers: an outage of the registry restarts nobody.
          livenessProbe:
            httpGet:
              path: /livez
              port: admin
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet:
              path: /readyz
              port: admin
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - name: kek
              mountPath: /etc/tenantry/kek
              readOnly: true
            {{- with include "tenantry.registryCaMount" $root }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with .mounts }}
            {{- . | nindent 12 }}
            {{- end }}
      volumes:
        - name: kek
          secret:
            secretName: {{ $root.Values.kek.existingSecret.name }}
            # Readable by whatever user the cluster chooses.
            defaultMode: 0444
            items:
              - key: {{ $root.Values.kek.existingSecret.key }}
                path: kek
        {{- with include "tenantry.registryCa" $root }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with .volumes }}
        {{- . | nindent 8 }}
        {{- end }}
      {{- if $values.topologySpread.enabled }}
      topologySpreadConstraints:
        {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
          labelSelector:
            matchLabels:
              {{- $selector | nindent 14 }}
          # Old pods of a rolling update do not count.
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
