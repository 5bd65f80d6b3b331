-- PDFs that need a password come with it.

-- Kept so that a document can be read again: after a failure, after a worker's death, by a later release.
-- It opens a file that lies beside it in the blob store, so it is worth no more than that file, and goes with it.
-- Never in a log, an event or an answer of the API.
alter table documents add column password text;
