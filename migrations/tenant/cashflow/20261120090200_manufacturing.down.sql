DROP TABLE material_movements;
DROP TABLE production_orders;
DROP TABLE bom_items;
DROP TABLE bills_of_materials;
DROP TABLE materials;
