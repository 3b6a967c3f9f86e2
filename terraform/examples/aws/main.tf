# Tenantry on an EKS cluster that is there: registry and tenant servers on Amazon RDS. See docs/aws.md.
terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
    helm = {
      source  = "hashicorp/helm"
      version = ">= 3.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.35"
    }
  }

  # The state holds the registry's password and the key-encryption key: keep it where few can read it.
  # backend "s3" {
  #   bucket       = "example-terraform-state"
  #   key          = "tenantry.tfstate"
  #   region       = "eu-central-1"
  #   encrypt      = true
  #   use_lockfile = true
  # }
}

provider "aws" {
  region = var.region
}

locals {
  issuer = trimprefix(data.aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
  eks = {
    host                   = data.aws_eks_cluster.this.endpoint
    cluster_ca_certificate = base64decode(data.aws_eks_cluster.this.certificate_authority[0].data)
    exec = {
      api_version = "client.authentication.k8s.io/v1"
      command     = "aws"
      args        = ["eks", "get-token", "--region", var.region, "--cluster-name", var.cluster]
    }
  }
}

provider "kubernetes" {
  host                   = local.eks.host
  cluster_ca_certificate = local.eks.cluster_ca_certificate

  exec {
    api_version = local.eks.exec.api_version
    command     = local.eks.exec.command
    args        = local.eks.exec.args
  }
}

provider "helm" {
  kubernetes = local.eks
}

data "aws_eks_cluster" "this" {
  name = var.cluster
}

# The provider of the cluster's service accounts: made once with `eksctl utils associate-iam-oidc-provider`, or by Terraform.
data "aws_iam_openid_connect_provider" "this" {
  url = "https://${local.issuer}"
}

data "aws_route53_zone" "this" {
  name = var.zone
}

module "tenantry" {
  source = "../../modules/aws"

  vpc_id                    = data.aws_eks_cluster.this.vpc_config[0].vpc_id
  subnet_ids                = var.private_subnet_ids
  client_security_group_ids = [data.aws_eks_cluster.this.vpc_config[0].cluster_security_group_id]
  oidc_provider_arn         = data.aws_iam_openid_connect_provider.this.arn

  # curl -O https://truststore.pki.rds.amazonaws.com/eu-central-1/eu-central-1-bundle.pem
  rds_ca_bundle = file("${path.module}/${var.region}-bundle.pem")

  chart         = "${path.module}/../../../charts/tenantry"
  image         = var.image
  base_domain   = "tenants.${var.zone}"
  kek           = var.kek
  bootstrap_key = var.bootstrap_key

  # The name of the load balancer is known once the ingress is there: apply without it first.
  dns = var.load_balancer == null ? null : {
    zone_id = data.aws_route53_zone.this.zone_id
    target  = var.load_balancer
  }

  values = {
    ingress = {
      enabled      = true
      className    = "nginx"
      tlsSecret    = "tenants-tls"
      controlPlane = { enabled = true }
    }
  }
}

output "worker_policy" {
  description = "What workers may do in the account"
  value       = module.tenantry.worker_policy
}
