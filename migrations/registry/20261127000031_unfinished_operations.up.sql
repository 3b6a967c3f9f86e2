-- Since when workers leave an operation to others, because they do not know its step.
ALTER TABLE operations ADD COLUMN left_since timestamptz;

-- Operations that an earlier release began have no names of steps: these are the ones that it had.
UPDATE operations SET steps = CASE kind
        WHEN 'suspend'    THEN '{close_route,close_login}'::text[]
        WHEN 'deactivate' THEN '{close_route,close_login}'
        WHEN 'resume'     THEN '{open_login,open_route}'
        WHEN 'restore'    THEN '{open_login,open_route}'
        ELSE '{close_route,close_login,drop_data,drop_role,forget}' END
    WHERE steps = '{}' AND kind IN ('suspend', 'deactivate', 'resume', 'restore', 'purge')
        AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck');
-- Those of a sign-up were others: what was begun is made anew, and all of it is undone.
UPDATE operations SET steps_done = 0
    WHERE steps = '{}' AND kind = 'provision' AND NOT undoing AND state IN ('queued', 'running', 'waiting', 'stuck');
UPDATE operations SET (steps, steps_done) = (SELECT steps, cardinality(steps) FROM (SELECT CASE tier
        WHEN 'schema' THEN '{place,create_schema}'::text[] ELSE '{place,create_database,adopt_schema}' END) AS made (steps))
    FROM tenants JOIN plans ON plans.name = plan
    WHERE operations.tenant_id = tenants.id AND operations.steps = '{}' AND kind = 'provision' AND undoing
        AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck');
