-- What servers of tenants' own are made from. Plans of tier `instance` name one.
ALTER TABLE plans ADD server_class text REFERENCES server_classes;
