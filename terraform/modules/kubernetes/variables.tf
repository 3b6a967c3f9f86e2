variable "name" {
  description = "The release's name; the names of its objects begin with it"
  type        = string
  default     = "tenantry"

  validation {
    condition     = length(var.name) <= 45
    error_message = "It may have 45 characters, since the names of objects go on after it."
  }
}

variable "namespace" {
  description = "The namespace of the release"
  type        = string
  default     = "tenantry"
}

variable "create_namespace" {
  description = "Whether the namespace is made here"
  type        = bool
  default     = true
}

variable "chart" {
  description = "The chart: a folder, an archive, an OCI reference (oci://...), or its name in `repository`"
  type        = string
}

variable "chart_repository" {
  description = "The repository that has the chart; null for a folder, an archive or an OCI reference"
  type        = string
  default     = null
}

variable "chart_version" {
  description = "The chart's version; null for a folder"
  type        = string
  default     = null
}

variable "base_domain" {
  description = "Tenants are `<slug>.<base domain>`"
  type        = string
}

variable "image" {
  description = "The image of all roles"
  type = object({
    repository = string
    tag        = optional(string, "")
    digest     = optional(string, "")
  })
}

variable "values" {
  description = "More values of the chart, over those that the module sets"
  type        = any
  default     = {}
}

variable "registry_url" {
  description = "The URL of the registry's database; null where a secret `registry_secret` is made elsewhere"
  type        = string
  default     = null
  sensitive   = true
}

variable "kek" {
  description = "The key-encryption key: 32 bytes in base64 (`openssl rand -base64 32`). Keep a copy elsewhere: without it nothing that is sealed can be read. Null where a secret `kek_secret` is made elsewhere"
  type        = string
  default     = null
  sensitive   = true
}

variable "bootstrap_key" {
  description = "The first API key: tnt_ and 64 hexadecimal digits; null: none is given, or a secret `bootstrap_key_secret` is made elsewhere"
  type        = string
  default     = null
  sensitive   = true
}

variable "registry_secret" {
  description = "The secret with the registry's URL (key `url`)"
  type        = string
  default     = "tenantry-registry"
}

variable "kek_secret" {
  description = "The secret with the key-encryption key (key `kek`)"
  type        = string
  default     = "tenantry-kek"
}

variable "bootstrap_key_secret" {
  description = "The secret with the first API key (key `key`)"
  type        = string
  default     = "tenantry-bootstrap-key"
}

variable "config_maps" {
  description = "Config maps to make in the namespace, by name, each a map of texts"
  type        = map(map(string))
  default     = {}
}

variable "timeout_seconds" {
  description = "Seconds that the release may take until its pods are ready, the migration of the registry included"
  type        = number
  default     = 900
}
