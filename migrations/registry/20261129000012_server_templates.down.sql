ALTER TABLE server_classes DROP version, DROP size, DROP spec;
