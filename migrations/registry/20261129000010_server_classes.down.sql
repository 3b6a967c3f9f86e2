DROP VIEW server_class_orders;
ALTER TABLE servers DROP class;
DROP TABLE server_classes;
