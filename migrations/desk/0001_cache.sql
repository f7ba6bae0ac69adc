-- Answers of the API that the desktop app keeps, so that its pages show when the API is out of reach.
-- The file is disposable: when it is damaged, or of another version than the app knows, it is set aside and built anew.
-- No token and no other secret is ever written here.

CREATE TABLE saved_answer (
  account TEXT NOT NULL, -- Address of the API and id of the person, so that two people never see each other's pages.
  call    TEXT NOT NULL, -- Name in the table of calls.
  args    TEXT NOT NULL, -- Arguments as JSON with sorted keys.
  body    TEXT NOT NULL, -- The answer as JSON.
  as_of   TEXT NOT NULL, -- The API's own time of the answer, RFC 3339 in UTC.
  PRIMARY KEY (account, call, args)
) STRICT;

PRAGMA user_version = 1;
