INSERT INTO tags (name, color) VALUES
    ('lead', '#2563eb'),
    ('customer', '#16a34a'),
    ('partner', '#9333ea')
ON CONFLICT (name) DO NOTHING;
