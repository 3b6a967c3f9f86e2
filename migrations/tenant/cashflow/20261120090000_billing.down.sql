DROP TABLE payments;
DROP TABLE invoice_lines;
DROP TABLE invoices;
DROP TABLE products;
DROP FUNCTION set_updated_at();
