-- Reads no table, so it is the same in every schema whatever the session's search_path.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE products (
    id          uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    sku         text          UNIQUE,
    name        text          NOT NULL,
    description text,
    hsn_code    text          CHECK (hsn_code ~ '^[0-9]{4,8}$'),
    unit        text          NOT NULL DEFAULT 'each',
    unit_price  numeric(12,2) NOT NULL DEFAULT 0 CHECK (unit_price >= 0),
    currency    text          NOT NULL DEFAULT 'INR' CHECK (currency ~ '^[A-Z]{3}$'),
    gst_rate    numeric(5,2)  NOT NULL DEFAULT 18 CHECK (gst_rate BETWEEN 0 AND 100),
    is_active   boolean       NOT NULL DEFAULT true,
    created_at  timestamptz   NOT NULL DEFAULT now(),
    updated_at  timestamptz   NOT NULL DEFAULT now()
);
COMMENT ON TABLE products IS 'Goods and services that are sold';

CREATE INDEX idx_products_active ON products (name) WHERE is_active;

CREATE TRIGGER products_set_updated_at BEFORE UPDATE ON products
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE invoices (
    id                  uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    invoice_number      text          NOT NULL UNIQUE,
    gst_number          varchar(15),
    customer_name       text          NOT NULL,
    customer_email      text,
    customer_gst_number varchar(15),
    status              text          NOT NULL DEFAULT 'draft'
                                      CHECK (status IN ('draft', 'sent', 'partially_paid', 'paid', 'overdue', 'void')),
    issue_date          date          NOT NULL DEFAULT CURRENT_DATE,
    due_date            date,
    currency            text          NOT NULL DEFAULT 'INR' CHECK (currency ~ '^[A-Z]{3}$'),
    subtotal            numeric(12,2) NOT NULL DEFAULT 0 CHECK (subtotal >= 0),
    gst_amount          numeric(12,2) NOT NULL DEFAULT 0 CHECK (gst_amount >= 0),
    total               numeric(12,2) NOT NULL DEFAULT 0 CHECK (total >= 0),
    notes               text,
    created_at          timestamptz   NOT NULL DEFAULT now(),
    updated_at          timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT invoices_due_after_issue CHECK (due_date >= issue_date)
);
COMMENT ON TABLE invoices IS 'GST invoices; gst_number is the seller''s on the day of issue';

CREATE INDEX idx_invoices_status_due ON invoices (status, due_date);

CREATE TRIGGER invoices_set_updated_at BEFORE UPDATE ON invoices
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE invoice_lines (
    id          uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    invoice_id  uuid          NOT NULL REFERENCES invoices (id) ON DELETE CASCADE,
    product_id  uuid          REFERENCES products (id) ON DELETE SET NULL,
    description text          NOT NULL,
    hsn_code    text          CHECK (hsn_code ~ '^[0-9]{4,8}$'),
    quantity    numeric(12,3) NOT NULL DEFAULT 1 CHECK (quantity > 0),
    unit_price  numeric(12,2) NOT NULL DEFAULT 0 CHECK (unit_price >= 0),
    gst_rate    numeric(5,2)  NOT NULL DEFAULT 18 CHECK (gst_rate BETWEEN 0 AND 100),
    amount      numeric(14,2) GENERATED ALWAYS AS (round(quantity * unit_price, 2)) STORED,
    created_at  timestamptz   NOT NULL DEFAULT now(),
    updated_at  timestamptz   NOT NULL DEFAULT now()
);
COMMENT ON TABLE invoice_lines IS 'Lines of an invoice; amount is before GST';

CREATE INDEX idx_invoice_lines_invoice ON invoice_lines (invoice_id);
CREATE INDEX idx_invoice_lines_product ON invoice_lines (product_id);

CREATE TRIGGER invoice_lines_set_updated_at BEFORE UPDATE ON invoice_lines
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE payments (
    id         uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    invoice_id uuid          NOT NULL REFERENCES invoices (id) ON DELETE RESTRICT,
    status     text          NOT NULL DEFAULT 'received'
                             CHECK (status IN ('pending', 'received', 'failed', 'refunded')),
    method     text          NOT NULL DEFAULT 'bank_transfer'
                             CHECK (method IN ('cash', 'card', 'upi', 'bank_transfer', 'cheque')),
    amount     numeric(12,2) NOT NULL CHECK (amount > 0),
    currency   text          NOT NULL DEFAULT 'INR' CHECK (currency ~ '^[A-Z]{3}$'),
    reference  text,
    paid_at    timestamptz   NOT NULL DEFAULT now(),
    created_at timestamptz   NOT NULL DEFAULT now(),
    updated_at timestamptz   NOT NULL DEFAULT now()
);
COMMENT ON TABLE payments IS 'Money received for an invoice';

CREATE INDEX idx_payments_invoice ON payments (invoice_id);

CREATE TRIGGER payments_set_updated_at BEFORE UPDATE ON payments
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
