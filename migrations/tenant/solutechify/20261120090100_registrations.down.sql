DROP TABLE registrations;
DROP TABLE tickets;
