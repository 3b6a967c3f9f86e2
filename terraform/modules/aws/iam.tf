locals {
  issuer = split("oidc-provider/", var.oidc_provider_arn)[1]
  # Of the servers that workers make, and of no others.
  server_names = "tenantry-*"
}

# What workers are, by their service account (IRSA).
data "aws_iam_policy_document" "worker_trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:${var.namespace}:${var.name}-worker"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "worker" {
  name               = "${var.name}-worker"
  description        = "Tenantry's workers: tenant servers on Amazon RDS"
  assume_role_policy = data.aws_iam_policy_document.worker_trust.json
  tags               = var.tags
}

# What provider rds of the worker asks of Amazon, each for names that begin with tenantry- and the tag of this registry.
data "aws_iam_policy_document" "worker" {
  # Lists cannot be narrowed to names or tags.
  statement {
    sid     = "Look"
    actions = ["rds:DescribeDBInstances", "rds:DescribeDBParameterGroups", "rds:DescribeDBSnapshots", "rds:ListTagsForResource"]
    resources = [
      "${local.rds}:db:*",
      "${local.rds}:pg:*",
      "${local.rds}:snapshot:*",
    ]
  }

  statement {
    sid     = "Make"
    actions = ["rds:CreateDBInstance", "rds:CreateDBParameterGroup", "rds:AddTagsToResource"]
    resources = [
      "${local.rds}:db:${local.server_names}",
      "${local.rds}:pg:${local.server_names}",
    ]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/tenantry:registry"
      values   = [var.label]
    }
  }

  # What an instance is made with.
  statement {
    sid     = "MakeWith"
    actions = ["rds:CreateDBInstance"]
    resources = [
      "${local.rds}:subgrp:${aws_db_subnet_group.this.name}",
      "${local.rds}:og:default:postgres-*",
    ]
  }

  statement {
    sid     = "Change"
    actions = ["rds:ModifyDBInstance", "rds:DeleteDBInstance", "rds:ModifyDBParameterGroup", "rds:DeleteDBParameterGroup"]
    resources = [
      "${local.rds}:db:${local.server_names}",
      "${local.rds}:pg:${local.server_names}",
    ]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/tenantry:registry"
      values   = [var.label]
    }
  }

  # The last snapshot of an instance, which has its tags.
  statement {
    sid       = "Snapshot"
    actions   = ["rds:CreateDBSnapshot"]
    resources = ["${local.rds}:db:${local.server_names}", "${local.rds}:snapshot:${local.server_names}"]
  }

  statement {
    sid       = "TagSnapshot"
    actions   = ["rds:AddTagsToResource"]
    resources = ["${local.rds}:snapshot:${local.server_names}"]
  }

  # What the module has made, whose names begin so too.
  statement {
    sid    = "NotTheRegistry"
    effect = "Deny"
    actions = [
      "rds:AddTagsToResource",
      "rds:CreateDBSnapshot",
      "rds:DeleteDBInstance",
      "rds:DeleteDBParameterGroup",
      "rds:ModifyDBInstance",
      "rds:ModifyDBParameterGroup",
    ]
    resources = [
      aws_db_instance.registry.arn,
      aws_db_parameter_group.registry.arn,
      aws_db_parameter_group.servers.arn,
    ]
  }

  # Disks that are encrypted with the key: only through RDS.
  statement {
    sid       = "Key"
    actions   = ["kms:DescribeKey"]
    resources = [aws_kms_key.this.arn]
  }

  statement {
    sid       = "Grant"
    actions   = ["kms:CreateGrant"]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["rds.${local.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "rds"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}

# The registry's metrics of its operating system.
data "aws_iam_policy_document" "monitoring_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "monitoring" {
  name               = "${var.name}-registry-monitoring"
  description        = "Metrics of Tenantry's registry"
  assume_role_policy = data.aws_iam_policy_document.monitoring_trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}
