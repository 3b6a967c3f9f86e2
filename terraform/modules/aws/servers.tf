# For tenant servers that are made by Terraform or by hand and registered (tenantry_server): what moves need. Servers that
# workers make have a group each, of the worker's making.
resource "aws_db_parameter_group" "servers" {
  name        = "${var.name}-servers"
  description = "Tenantry's tenant servers that no worker has made"
  family      = "postgres${split(".", var.registry_engine_version)[0]}"
  tags        = var.tags

  parameter {
    name         = "rds.logical_replication"
    value        = "1"
    apply_method = "pending-reboot"
  }

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }
}
