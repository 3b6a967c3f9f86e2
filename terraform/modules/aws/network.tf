resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "Tenantry: registry and tenant servers"
  subnet_ids  = var.subnet_ids
  tags        = var.tags
}

resource "aws_security_group" "registry" {
  name        = "${var.name}-registry"
  description = "Tenantry's registry"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

resource "aws_security_group" "servers" {
  #checkov:skip=CKV2_AWS_5:workers attach it to the servers that they make
  name        = "${var.name}-servers"
  description = "Tenantry's tenant servers"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "registry" {
  count = length(var.client_security_group_ids)

  security_group_id            = aws_security_group.registry.id
  description                  = "PostgreSQL, from where Tenantry runs"
  referenced_security_group_id = var.client_security_group_ids[count.index]
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "servers" {
  count = length(var.client_security_group_ids)

  security_group_id            = aws_security_group.servers.id
  description                  = "PostgreSQL, from where Tenantry runs"
  referenced_security_group_id = var.client_security_group_ids[count.index]
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}

# A tenant that is moved is replicated from one server to the other.
resource "aws_vpc_security_group_ingress_rule" "between_servers" {
  security_group_id            = aws_security_group.servers.id
  description                  = "PostgreSQL, from another tenant server"
  referenced_security_group_id = aws_security_group.servers.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "between_servers" {
  security_group_id            = aws_security_group.servers.id
  description                  = "PostgreSQL, to another tenant server"
  referenced_security_group_id = aws_security_group.servers.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}
