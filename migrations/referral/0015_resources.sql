-- What AIKit gives agencies to work with: material, case studies, e-mail templates, best practice.
CREATE TABLE resource (
    id           TEXT NOT NULL PRIMARY KEY,           -- UUID made by whoever wrote it
    kind         TEXT NOT NULL CHECK (kind IN ('material', 'case_study', 'email_template', 'best_practice')),
    title        TEXT NOT NULL,
    summary      TEXT NOT NULL,
    text         TEXT NOT NULL,                       -- paragraphs; may be empty
    link         TEXT,                                -- https
    place        INTEGER NOT NULL,                    -- order in lists
    upload       TEXT,                                -- its file: the parts of this upload
    file_name    TEXT,
    file_mime    TEXT,
    file_bytes   INTEGER,
    created_ms   INTEGER NOT NULL,
    changed_ms   INTEGER NOT NULL,
    published_ms INTEGER,                             -- agencies see it
    version      INTEGER NOT NULL DEFAULT 1,
    CHECK ((upload IS NULL) = (file_name IS NULL) AND (upload IS NULL) = (file_mime IS NULL) AND (upload IS NULL) = (file_bytes IS NULL))
) STRICT;
CREATE INDEX resource_by_place ON resource (place);

-- Files in base64, beside the resources, so that lists stay light; the parts of an upload that has not ended, too.
CREATE TABLE resource_part (
    resource TEXT NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
    upload   TEXT NOT NULL,
    part     INTEGER NOT NULL,
    data     TEXT NOT NULL,
    PRIMARY KEY (resource, upload, part)
) STRICT;
CREATE TRIGGER resource_part_stays BEFORE UPDATE ON resource_part BEGIN SELECT raise(ABORT, 'a part is written once'); END;

-- A resource begins unpublished, so that a new one is nothing to copy.
CREATE TRIGGER resource_begins BEFORE INSERT ON resource WHEN NEW.published_ms IS NOT NULL
    BEGIN SELECT raise(ABORT, 'a resource begins unpublished'); END;

-- Resources are the program's: every copy has the published ones (0013_sync.sql).
CREATE TRIGGER sync_resource AFTER UPDATE ON resource WHEN OLD.published_ms IS NOT NULL OR NEW.published_ms IS NOT NULL BEGIN
    INSERT INTO sync_touch (scope, kind, id) SELECT scope, 'resource', NEW.id FROM sync_scope WHERE true
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_resource_gone AFTER DELETE ON resource WHEN OLD.published_ms IS NOT NULL BEGIN
    INSERT INTO sync_touch (scope, kind, id) SELECT scope, 'resource', OLD.id FROM sync_scope WHERE true
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
