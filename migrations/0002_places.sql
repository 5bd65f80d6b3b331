-- Where a passage stands, for formats without pages too, and what was embedded for it.

-- Settings of a collection that differ from the workers': see CollectionSettings in the store.
alter table collections add column settings jsonb not null default '{}';

-- What people call this part where it isn't "page n": "Slide 3", the name of a sheet.
alter table pages add column label text;

-- The same for a passage: "Costs, rows 12–30", "lines 10–40"; null where its pages say it.
alter table chunks add column place text;
alter table sources add column place text;

-- SHA-256 of the text that was embedded, so that equal text is embedded once.
alter table chunks add column embedded_sha256 bytea;
-- "which of these texts have a vector of this model already?", asked for each batch of an ingest
create index chunks_by_embedded on chunks (tenant_id, embedded_sha256);
