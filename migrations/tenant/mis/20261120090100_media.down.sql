DROP TABLE ai_verifications;
DROP TABLE biometric_templates;
DROP TABLE media;
