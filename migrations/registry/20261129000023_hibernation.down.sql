ALTER TABLE servers DROP CONSTRAINT servers_hibernated_check, DROP CONSTRAINT servers_state_check;
UPDATE servers SET state = 'cordoned' WHERE state = 'hibernated';
ALTER TABLE servers ADD CHECK (state IN ('active', 'cordoned', 'draining', 'lost'));
