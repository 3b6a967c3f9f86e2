ALTER TABLE plans DROP server_class;
