DROP TABLE undo_windows;
