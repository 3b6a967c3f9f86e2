DROP FUNCTION in_maintenance_window;
DROP TABLE rollout_tenants, rollouts;
DROP FUNCTION notify_rollout, rollout_events;
DELETE FROM operations WHERE kind = 'rollout';
