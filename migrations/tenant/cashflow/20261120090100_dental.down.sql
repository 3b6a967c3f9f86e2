DROP TABLE dental_supplies;
DROP TABLE treatments;
DROP TABLE patients;
