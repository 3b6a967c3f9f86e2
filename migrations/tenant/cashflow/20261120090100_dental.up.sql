CREATE TABLE patients (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    first_name    text        NOT NULL,
    last_name     text,
    date_of_birth date,
    phone         text,
    email         text,
    allergies     text,
    notes         text,
    is_active     boolean     NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE patients IS 'Patients of a dental clinic';

CREATE INDEX idx_patients_name ON patients (last_name, first_name);
CREATE INDEX idx_patients_phone ON patients (phone);

CREATE TRIGGER patients_set_updated_at BEFORE UPDATE ON patients
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE treatments (
    id           uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    patient_id   uuid          NOT NULL REFERENCES patients (id) ON DELETE RESTRICT,
    invoice_id   uuid          REFERENCES invoices (id) ON DELETE SET NULL,
    name         text          NOT NULL,
    tooth        smallint      CHECK (tooth BETWEEN 11 AND 85),
    status       text          NOT NULL DEFAULT 'planned'
                               CHECK (status IN ('planned', 'in_progress', 'completed', 'cancelled')),
    cost         numeric(12,2) NOT NULL DEFAULT 0 CHECK (cost >= 0),
    currency     text          NOT NULL DEFAULT 'INR' CHECK (currency ~ '^[A-Z]{3}$'),
    scheduled_at timestamptz,
    completed_at timestamptz,
    notes        text,
    created_at   timestamptz   NOT NULL DEFAULT now(),
    updated_at   timestamptz   NOT NULL DEFAULT now()
);
COMMENT ON TABLE treatments IS 'Treatments of a patient; tooth in FDI notation';

CREATE INDEX idx_treatments_patient ON treatments (patient_id, scheduled_at DESC);
CREATE INDEX idx_treatments_invoice ON treatments (invoice_id);

CREATE TRIGGER treatments_set_updated_at BEFORE UPDATE ON treatments
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE dental_supplies (
    id                  uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    sku                 text          UNIQUE,
    name                text          NOT NULL,
    unit                text          NOT NULL DEFAULT 'each',
    quantity_on_hand    numeric(14,3) NOT NULL DEFAULT 0 CHECK (quantity_on_hand >= 0),
    reorder_level       numeric(14,3) NOT NULL DEFAULT 0 CHECK (reorder_level >= 0),
    unit_cost           numeric(12,2) NOT NULL DEFAULT 0 CHECK (unit_cost >= 0),
    currency            text          NOT NULL DEFAULT 'INR' CHECK (currency ~ '^[A-Z]{3}$'),
    supplier_name       text,
    supplier_gst_number varchar(15),
    expires_on          date,
    created_at          timestamptz   NOT NULL DEFAULT now(),
    updated_at          timestamptz   NOT NULL DEFAULT now()
);
COMMENT ON TABLE dental_supplies IS 'Consumables of a dental clinic';

CREATE TRIGGER dental_supplies_set_updated_at BEFORE UPDATE ON dental_supplies
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
