-- Hours in which a move of the plan's tenants can be undone; null: as many as the control plane says.
ALTER TABLE plans ADD COLUMN undo_moves_hours smallint CHECK (undo_moves_hours >= 0);
