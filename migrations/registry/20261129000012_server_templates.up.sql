-- What a class's servers are made of, beside their settings. `spec`: members of a CloudNativePG cluster's.
ALTER TABLE server_classes
    ADD version integer,
    ADD size jsonb NOT NULL DEFAULT '{}',
    ADD spec jsonb NOT NULL DEFAULT '{}';
