resource "random_password" "registry" {
  length = 40
  # It becomes part of a URL.
  special = false
}

resource "aws_db_parameter_group" "registry" {
  name        = "${var.name}-registry"
  description = "Tenantry's registry"
  family      = "postgres${split(".", var.registry_engine_version)[0]}"
  tags        = var.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # What is slow is to be seen in its log.
  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "registry" {
  #checkov:skip=CKV_AWS_161:Tenantry logs in with a password
  identifier     = "${var.name}-registry"
  engine         = "postgres"
  engine_version = var.registry_engine_version
  instance_class = var.registry_instance_class
  multi_az       = var.registry_multi_az

  allocated_storage     = var.registry_storage_gb.initial
  max_allocated_storage = var.registry_storage_gb.maximum
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.this.arn

  db_name  = "tenantry"
  username = "tenantry"
  password = random_password.registry.result

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.registry.id]
  parameter_group_name   = aws_db_parameter_group.registry.name
  publicly_accessible    = false

  backup_retention_period    = var.registry_backup_days
  copy_tags_to_snapshot      = true
  deletion_protection        = var.deletion_protection
  skip_final_snapshot        = false
  final_snapshot_identifier  = "${var.name}-registry-final"
  auto_minor_version_upgrade = true

  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = aws_kms_key.this.arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn

  tags = var.tags
}
