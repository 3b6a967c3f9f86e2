CREATE TABLE materials (
    id                  uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    code                text          NOT NULL UNIQUE,
    name                text          NOT NULL,
    unit                text          NOT NULL DEFAULT 'each',
    quantity_on_hand    numeric(14,3) NOT NULL DEFAULT 0 CHECK (quantity_on_hand >= 0),
    reorder_level       numeric(14,3) NOT NULL DEFAULT 0 CHECK (reorder_level >= 0),
    unit_cost           numeric(12,2) NOT NULL DEFAULT 0 CHECK (unit_cost >= 0),
    currency            text          NOT NULL DEFAULT 'INR' CHECK (currency ~ '^[A-Z]{3}$'),
    supplier_name       text,
    supplier_gst_number varchar(15),
    is_active           boolean       NOT NULL DEFAULT true,
    created_at          timestamptz   NOT NULL DEFAULT now(),
    updated_at          timestamptz   NOT NULL DEFAULT now()
);
COMMENT ON TABLE materials IS 'Raw materials and parts';

CREATE TRIGGER materials_set_updated_at BEFORE UPDATE ON materials
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE bills_of_materials (
    id              uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id      uuid          NOT NULL REFERENCES products (id) ON DELETE RESTRICT,
    version         integer       NOT NULL DEFAULT 1 CHECK (version > 0),
    status          text          NOT NULL DEFAULT 'draft'
                                  CHECK (status IN ('draft', 'active', 'archived')),
    output_quantity numeric(14,3) NOT NULL DEFAULT 1 CHECK (output_quantity > 0),
    notes           text,
    created_at      timestamptz   NOT NULL DEFAULT now(),
    updated_at      timestamptz   NOT NULL DEFAULT now(),
    UNIQUE (product_id, version)
);
COMMENT ON TABLE bills_of_materials IS 'What it takes to make output_quantity of a product';

CREATE TRIGGER bills_of_materials_set_updated_at BEFORE UPDATE ON bills_of_materials
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE bom_items (
    id            uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    bom_id        uuid          NOT NULL REFERENCES bills_of_materials (id) ON DELETE CASCADE,
    material_id   uuid          NOT NULL REFERENCES materials (id) ON DELETE RESTRICT,
    quantity      numeric(14,3) NOT NULL CHECK (quantity > 0),
    scrap_percent numeric(5,2)  NOT NULL DEFAULT 0 CHECK (scrap_percent BETWEEN 0 AND 100),
    created_at    timestamptz   NOT NULL DEFAULT now(),
    updated_at    timestamptz   NOT NULL DEFAULT now(),
    UNIQUE (bom_id, material_id)
);
COMMENT ON TABLE bom_items IS 'Materials of a bill of materials';

CREATE INDEX idx_bom_items_material ON bom_items (material_id);

CREATE TRIGGER bom_items_set_updated_at BEFORE UPDATE ON bom_items
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE production_orders (
    id                uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    order_number      text          NOT NULL UNIQUE,
    bom_id            uuid          NOT NULL REFERENCES bills_of_materials (id) ON DELETE RESTRICT,
    status            text          NOT NULL DEFAULT 'planned'
                                    CHECK (status IN ('planned', 'in_progress', 'on_hold', 'completed', 'cancelled')),
    quantity          numeric(14,3) NOT NULL CHECK (quantity > 0),
    quantity_produced numeric(14,3) NOT NULL DEFAULT 0 CHECK (quantity_produced >= 0),
    due_date          date,
    started_at        timestamptz,
    completed_at      timestamptz,
    created_at        timestamptz   NOT NULL DEFAULT now(),
    updated_at        timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT production_orders_end_after_start CHECK (completed_at >= started_at)
);
COMMENT ON TABLE production_orders IS 'Orders to make a product by a bill of materials';

CREATE INDEX idx_production_orders_bom ON production_orders (bom_id);
CREATE INDEX idx_production_orders_status_due ON production_orders (status, due_date);

CREATE TRIGGER production_orders_set_updated_at BEFORE UPDATE ON production_orders
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE material_movements (
    id                  uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    material_id         uuid          NOT NULL REFERENCES materials (id) ON DELETE RESTRICT,
    production_order_id uuid          REFERENCES production_orders (id) ON DELETE SET NULL,
    kind                text          NOT NULL
                                      CHECK (kind IN ('receipt', 'issue', 'return', 'adjustment')),
    quantity            numeric(14,3) NOT NULL CHECK (quantity <> 0),
    unit_cost           numeric(12,2) CHECK (unit_cost >= 0),
    reference           text,
    moved_at            timestamptz   NOT NULL DEFAULT now(),
    created_at          timestamptz   NOT NULL DEFAULT now(),
    updated_at          timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT material_movements_sign CHECK (kind = 'adjustment' OR quantity > 0)
);
COMMENT ON TABLE material_movements IS 'Stock in and out; only an adjustment may be negative';

CREATE INDEX idx_material_movements_material ON material_movements (material_id, moved_at DESC);
CREATE INDEX idx_material_movements_order ON material_movements (production_order_id);

CREATE TRIGGER material_movements_set_updated_at BEFORE UPDATE ON material_movements
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
