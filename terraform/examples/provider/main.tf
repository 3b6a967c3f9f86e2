# An app, what is sold, and a first customer. See docs/terraform.md.
terraform {
  required_providers {
    tenantry = {
      source = "tenantry/tenantry"
    }
  }
}

# The key comes from TENANTRY_API_KEY.
provider "tenantry" {
  url = var.url
}

variable "url" {
  description = "Where the control plane is"
  type        = string
  default     = "http://127.0.0.1:8080"
}

# A version each for the files in migrations/, each after the one before.
resource "tenantry_app_version" "contacts" {
  app      = "contacts"
  version  = 20261120093000
  name     = "create_contacts"
  up       = file("${path.module}/migrations/20261120093000_create_contacts.up.sql")
  down     = file("${path.module}/migrations/20261120093000_create_contacts.down.sql")
  manifest = jsonencode({ description = "Contacts of a company" })
}

resource "tenantry_app_version" "notes" {
  app        = tenantry_app_version.contacts.app
  version    = 20261121100000
  name       = "add_notes"
  up         = file("${path.module}/migrations/20261121100000_add_notes.up.sql")
  down       = file("${path.module}/migrations/20261121100000_add_notes.down.sql")
  depends_on = [tenantry_app_version.contacts]
}

resource "tenantry_plan" "starter" {
  name           = "starter"
  tier           = "schema"
  limits         = { max_users = 100, api_requests_per_day = 1000 }
  features       = { reports = false }
  default_config = jsonencode({ "session.timeout" = 3600 })
}

resource "tenantry_plan" "team" {
  name     = "team"
  tier     = "database"
  limits   = { max_users = 1000 }
  features = { reports = true }
}

resource "tenantry_tenant" "acme" {
  name     = "Acme Corporation"
  slug     = "acme"
  plan     = tenantry_plan.starter.name
  app      = tenantry_app_version.notes.app
  settings = jsonencode({ branding = { color = "#1d4ed8" } })

  # In an example. Without it, destroy keeps the data for the plan's retention, and with it plan and app.
  purge_on_destroy = true
}

resource "tenantry_api_key" "acme_shop" {
  tenant = tenantry_tenant.acme.id
  name   = "web shop"
  scopes = ["data:read"]
}

resource "tenantry_domain" "acme" {
  tenant = tenantry_tenant.acme.id
  domain = "crm.acme.example"
}

output "acme_key" {
  description = "The key of Acme's data"
  value       = tenantry_api_key.acme_shop.key
  sensitive   = true
}

output "acme_record" {
  description = "The DNS record that proves Acme's domain"
  value       = tenantry_domain.acme.record
}
