-- What late interaction compares a question's tokens with: the directions of each passage's tokens, 24 bytes apiece.
--
-- A table of its own, so that a scan over the passages' own vectors doesn't read twice as much. By model as well:
-- while a new model's vectors are made, those of the old one are still searched. A passage without a row (older than
-- this, or of a runtime that gives no token vectors) keeps the place that the search gave it.
create table chunk_token_vectors (
    chunk_id bigint not null references chunks on delete cascade,
    model_id smallint not null references embedding_models,
    -- See worker/src/models/token_vectors.rs: the format's number, then a bit for each sign.
    vectors bytea not null,
    constraint chunk_token_vectors_pkey primary key (chunk_id, model_id)
);

-- Bits of random directions don't compress: don't try.
alter table chunk_token_vectors alter column vectors set storage external;
