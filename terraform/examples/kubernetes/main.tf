# Tenantry on a cluster that is there, with the registry on a PostgreSQL that is there.
terraform {
  required_version = ">= 1.5"

  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = ">= 3.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.35"
    }
  }
}

provider "kubernetes" {
  config_path = "~/.kube/config"
}

provider "helm" {
  kubernetes = {
    config_path = "~/.kube/config"
  }
}

# TF_VAR_registry_url, TF_VAR_kek and TF_VAR_bootstrap_key.
variable "registry_url" {
  description = "The URL of the registry's database"
  type        = string
  sensitive   = true
}

variable "kek" {
  description = "The key-encryption key; keep a copy elsewhere"
  type        = string
  sensitive   = true
}

variable "bootstrap_key" {
  description = "The first API key"
  type        = string
  sensitive   = true
}

module "tenantry" {
  source = "../../modules/kubernetes"

  chart         = "${path.module}/../../../charts/tenantry"
  image         = { repository = "registry.example.com/tenantry", tag = "0.1.0" }
  base_domain   = "tenants.example.com"
  registry_url  = var.registry_url
  kek           = var.kek
  bootstrap_key = var.bootstrap_key

  values = {
    ingress = {
      enabled      = true
      className    = "nginx"
      tlsSecret    = "tenants-tls"
      controlPlane = { enabled = true }
    }
  }
}
