-- Switching the embedding model while searches go on with the old one: see store/reindex.rs.

-- The model that all chunks get vectors of, beside those of the active one. One at a time.
alter table embedding_models
    add column building boolean not null default false,
    add column building_since timestamptz;
create unique index embedding_models_one_building on embedding_models (building) where building;

-- Its vectors. When every visible chunk has one, the columns swap names with model_id and embedding, in one transaction:
-- searches always read `embedding`, and PostgreSQL renames a column of any length in no time. A table of its own
-- would have to be copied into chunks then, vector by vector, and the index built after.
-- Dimensions are set when a build begins.
alter table chunks
    add column model_id_next smallint,
    add column embedding_next halfvec;
-- Rows of embedding_models are never deleted, and model_id takes turns with a column that has no foreign key.
alter table chunks drop constraint if exists chunks_model_id_fkey;
