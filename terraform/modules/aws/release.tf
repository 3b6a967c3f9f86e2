locals {
  registry_url = format(
    "postgres://%s:%s@%s/%s?sslmode=verify-full",
    aws_db_instance.registry.username,
    random_password.registry.result,
    aws_db_instance.registry.endpoint,
    aws_db_instance.registry.db_name,
  )

  ca_config_map = "${var.name}-rds-ca"
}

module "release" {
  source = "../kubernetes"

  name          = var.name
  namespace     = var.namespace
  chart         = var.chart
  chart_version = var.chart_version
  image         = var.image
  base_domain   = var.base_domain
  registry_url  = local.registry_url
  kek           = var.kek
  bootstrap_key = var.bootstrap_key
  config_maps   = { (local.ca_config_map) = { "bundle.pem" = var.rds_ca_bundle } }

  # What both have, a map in each, is merged one level down, so that more can be said of a role.
  values = merge(var.values, {
    registry  = merge(local.values.registry, try(var.values.registry, {}))
    worker    = merge(local.values.worker, try(var.values.worker, {}))
    providers = merge(local.values.providers, try(var.values.providers, {}))
  })
}

locals {
  values = {
    registry = { ca = { configMap = local.ca_config_map, key = "bundle.pem" } }
    worker = {
      label          = var.label
      serviceAccount = { annotations = { "eks.amazonaws.com/role-arn" = aws_iam_role.worker.arn } }
    }
    providers = {
      rds = {
        enabled        = true
        region         = local.region
        subnetGroup    = aws_db_subnet_group.this.name
        securityGroups = [aws_security_group.servers.id]
        ca             = { configMap = local.ca_config_map, key = "bundle.pem" }
        kmsKey         = aws_kms_key.this.arn
        finalSnapshot  = var.final_snapshot
      }
    }
  }
}
