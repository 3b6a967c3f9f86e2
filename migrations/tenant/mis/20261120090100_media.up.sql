CREATE TABLE media (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    member_id    uuid        REFERENCES members (id) ON DELETE SET NULL,
    kind         text        NOT NULL DEFAULT 'document'
                             CHECK (kind IN ('document', 'photo', 'signature', 'biometric')),
    status       text        NOT NULL DEFAULT 'pending'
                             CHECK (status IN ('pending', 'stored', 'rejected')),
    file_name    text        NOT NULL,
    content_type text        NOT NULL DEFAULT 'application/octet-stream',
    size_bytes   bigint      NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
    sha256       text        CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    storage_key  text        UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE media IS 'Uploaded files; the bytes are in the object store under storage_key';

CREATE INDEX idx_media_member ON media (member_id);

CREATE TRIGGER media_set_updated_at BEFORE UPDATE ON media
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE biometric_templates (
    id         uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    member_id  uuid         NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    media_id   uuid         REFERENCES media (id) ON DELETE SET NULL,
    modality   text         NOT NULL CHECK (modality IN ('fingerprint', 'face', 'iris', 'voice')),
    template   bytea        NOT NULL,
    quality    numeric(5,4) CHECK (quality BETWEEN 0 AND 1),
    created_at timestamptz  NOT NULL DEFAULT now(),
    updated_at timestamptz  NOT NULL DEFAULT now()
);
COMMENT ON TABLE biometric_templates IS 'Encrypted templates that members sign in with';

CREATE INDEX idx_biometric_templates_member ON biometric_templates (member_id, modality);
CREATE INDEX idx_biometric_templates_media ON biometric_templates (media_id);

CREATE TRIGGER biometric_templates_set_updated_at BEFORE UPDATE ON biometric_templates
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE ai_verifications (
    id         uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    member_id  uuid         NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    media_id   uuid         REFERENCES media (id) ON DELETE SET NULL,
    method     text         NOT NULL CHECK (method IN ('document', 'face_match', 'liveness')),
    status     text         NOT NULL DEFAULT 'pending'
                            CHECK (status IN ('pending', 'approved', 'rejected', 'needs_review')),
    score      numeric(5,4) CHECK (score BETWEEN 0 AND 1),
    details    jsonb        NOT NULL DEFAULT '{}',
    decided_at timestamptz,
    created_at timestamptz  NOT NULL DEFAULT now(),
    updated_at timestamptz  NOT NULL DEFAULT now()
);
COMMENT ON TABLE ai_verifications IS 'Automated checks of a member''s identity';

CREATE INDEX idx_ai_verifications_member ON ai_verifications (member_id);
CREATE INDEX idx_ai_verifications_media ON ai_verifications (media_id);

CREATE TRIGGER ai_verifications_set_updated_at BEFORE UPDATE ON ai_verifications
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
