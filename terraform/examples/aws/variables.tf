variable "region" {
  description = "The region of the cluster and of all servers"
  type        = string
  default     = "eu-central-1"
}

variable "cluster" {
  description = "The EKS cluster"
  type        = string
}

variable "private_subnet_ids" {
  description = "Private subnets of the cluster's VPC, in at least two zones"
  type        = list(string)
}

variable "zone" {
  description = "The Route 53 zone"
  type        = string
  default     = "example.com"
}

variable "image" {
  description = "The image, in a registry that the cluster can pull from"
  type        = object({ repository = string, tag = string })
}

variable "load_balancer" {
  description = "The name of the ingress' load balancer; null until it is there"
  type        = string
  default     = null
}

# TF_VAR_kek and TF_VAR_bootstrap_key.
variable "kek" {
  description = "The key-encryption key: `openssl rand -base64 32`; keep a copy elsewhere"
  type        = string
  sensitive   = true
}

variable "bootstrap_key" {
  description = "The first API key: tnt_ and 64 hexadecimal digits"
  type        = string
  sensitive   = true
}
