variable "name" {
  description = "What the names of all resources begin with, and the release's name. Names of servers that Tenantry makes begin with tenantry- whatever it is"
  type        = string
  default     = "tenantry"
}

variable "label" {
  description = "The worker's label (TENANTRY_LABEL): it marks the instances of this registry where several are in the account"
  type        = string
  default     = "main"
}

variable "tags" {
  description = "Tags of all resources of this module"
  type        = map(string)
  default     = {}
}

# The network.

variable "vpc_id" {
  description = "The VPC of the EKS cluster"
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets for the registry and for tenant servers, in at least two zones"
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Amazon RDS needs subnets in at least two zones."
  }
}

variable "client_security_group_ids" {
  description = "Security groups of the pods or nodes that Tenantry runs on: they, and nobody else, reach registry and tenant servers"
  type        = list(string)
}

# The registry.

variable "registry_engine_version" {
  description = "PostgreSQL's major version of the registry"
  type        = string
  default     = "17"
}

variable "registry_instance_class" {
  description = "The instance class of the registry"
  type        = string
  default     = "db.t4g.medium"
}

variable "registry_storage_gb" {
  description = "The registry's storage in GB, at first and at most"
  type        = object({ initial = number, maximum = number })
  default     = { initial = 20, maximum = 100 }
}

variable "registry_multi_az" {
  description = "Whether the registry has a standby in another zone. It doubles its price"
  type        = bool
  default     = true
}

variable "registry_backup_days" {
  description = "Days that the registry's backups are kept"
  type        = number
  default     = 14
}

variable "deletion_protection" {
  description = "Whether the registry is kept from being deleted; to be false before everything is removed"
  type        = bool
  default     = true
}

# Tenant servers.

variable "rds_ca_bundle" {
  description = "The region's certificates, as PEM text, from https://truststore.pki.rds.amazonaws.com/<region>/<region>-bundle.pem"
  type        = string

  validation {
    condition     = can(regex("-----BEGIN CERTIFICATE-----", var.rds_ca_bundle))
    error_message = "It must be PEM text: file(\"eu-central-1-bundle.pem\")."
  }
}

variable "final_snapshot" {
  description = "Whether a snapshot is kept of a tenant server that is deleted"
  type        = bool
  default     = true
}

# The release.

variable "oidc_provider_arn" {
  description = "The cluster's IAM OIDC provider, for the worker's role"
  type        = string
}

variable "namespace" {
  description = "The namespace of the release"
  type        = string
  default     = "tenantry"
}

variable "chart" {
  description = "The chart: a folder, an archive or an OCI reference"
  type        = string
}

variable "chart_version" {
  description = "The chart's version; null for a folder"
  type        = string
  default     = null
}

variable "image" {
  description = "The image of all roles"
  type = object({
    repository = string
    tag        = optional(string, "")
    digest     = optional(string, "")
  })
}

variable "base_domain" {
  description = "Tenants are `<slug>.<base domain>`"
  type        = string
}

variable "kek" {
  description = "The key-encryption key: 32 bytes in base64 (`openssl rand -base64 32`). Keep a copy elsewhere: without it nothing that is sealed can be read"
  type        = string
  sensitive   = true
}

variable "bootstrap_key" {
  description = "The first API key: tnt_ and 64 hexadecimal digits; null: none is given"
  type        = string
  default     = null
  sensitive   = true
}

variable "values" {
  description = "More values of the chart, e.g. `ingress`, over those that the module sets"
  type        = any
  default     = {}
}

# DNS.

variable "dns" {
  description = "The Route 53 zone of the base domain, and the load balancer's name that `*.<base domain>` leads to; null: no record is made"
  type = object({
    zone_id = string
    target  = string
    ttl     = optional(number, 300)
  })
  default = null
}
