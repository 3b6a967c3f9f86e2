resource "aws_route53_record" "tenants" {
  count = var.dns == null ? 0 : 1

  zone_id = var.dns.zone_id
  name    = "*.${var.base_domain}"
  type    = "CNAME"
  ttl     = var.dns.ttl
  records = [var.dns.target]
}
