ALTER TABLE plans DROP COLUMN undo_moves_hours;
