locals {
  # What is null is made elsewhere. Which are given is no secret.
  secrets = merge(
    nonsensitive(var.registry_url != null) ? { (var.registry_secret) = { url = var.registry_url } } : {},
    nonsensitive(var.kek != null) ? { (var.kek_secret) = { kek = var.kek } } : {},
    nonsensitive(var.bootstrap_key != null) ? { (var.bootstrap_key_secret) = { key = var.bootstrap_key } } : {},
  )
}

resource "kubernetes_namespace_v1" "this" {
  count = var.create_namespace ? 1 : 0

  metadata {
    name = var.namespace
    labels = {
      # The chart passes it.
      "pod-security.kubernetes.io/enforce" = "restricted"
    }
  }
}

resource "kubernetes_secret_v1" "this" {
  for_each = nonsensitive(toset(keys(local.secrets)))

  metadata {
    name      = each.key
    namespace = var.namespace
  }
  data = local.secrets[each.key]

  depends_on = [kubernetes_namespace_v1.this]
}

resource "kubernetes_config_map_v1" "this" {
  for_each = var.config_maps

  metadata {
    name      = each.key
    namespace = var.namespace
  }
  data = each.value

  depends_on = [kubernetes_namespace_v1.this]
}

resource "helm_release" "tenantry" {
  name       = var.name
  namespace  = var.namespace
  chart      = var.chart
  repository = var.chart_repository
  version    = var.chart_version
  timeout    = var.timeout_seconds
  # A release whose pods do not become ready is taken back.
  atomic = true
  wait   = true

  values = [
    yamlencode({
      # So that the names of its service accounts are known.
      fullnameOverride = var.name
      baseDomain       = var.base_domain
      image            = var.image
      registry         = { existingSecret = { name = var.registry_secret, key = "url" } }
      kek              = { existingSecret = { name = var.kek_secret, key = "kek" } }
      bootstrapKey = {
        enabled        = nonsensitive(var.bootstrap_key != null)
        existingSecret = { name = var.bootstrap_key_secret, key = "key" }
      }
    }),
    yamlencode(var.values),
  ]

  depends_on = [kubernetes_secret_v1.this, kubernetes_config_map_v1.this]
}
