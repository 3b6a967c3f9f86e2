output "namespace" {
  description = "The namespace of the release"
  value       = var.namespace
}

output "release" {
  description = "The release's name"
  value       = helm_release.tenantry.name
}

output "worker_service_account" {
  description = "The service account that workers run as"
  value       = "${var.name}-worker"
}
