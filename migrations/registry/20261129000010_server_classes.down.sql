ALTER TABLE servers DROP class;
DROP TABLE server_classes;
