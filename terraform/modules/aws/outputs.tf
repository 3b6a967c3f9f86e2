output "registry_endpoint" {
  description = "Host and port of the registry"
  value       = aws_db_instance.registry.endpoint
}

output "registry_url" {
  description = "The registry's URL, with its password"
  value       = local.registry_url
  sensitive   = true
}

output "worker_role_arn" {
  description = "The role of the workers"
  value       = aws_iam_role.worker.arn
}

output "worker_policy" {
  description = "What the role may do, as JSON, for an audit"
  value       = data.aws_iam_policy_document.worker.json
}

output "subnet_group" {
  description = "The subnet group of tenant servers"
  value       = aws_db_subnet_group.this.name
}

output "servers_security_group_id" {
  description = "The security group of tenant servers"
  value       = aws_security_group.servers.id
}

output "servers_parameter_group" {
  description = "A parameter group for tenant servers that no worker makes: logical replication, TLS"
  value       = aws_db_parameter_group.servers.name
}

output "kms_key_arn" {
  description = "The key of the disks"
  value       = aws_kms_key.this.arn
}

output "namespace" {
  description = "The namespace of the release"
  value       = module.release.namespace
}
