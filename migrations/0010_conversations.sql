-- Conversations: questions in an order, so that a follow-up can be understood; and which sources an answer cites.

create table conversations (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    -- where its questions look; those of one conversation are about the same documents
    collection_id uuid not null references collections on delete cascade,
    -- how many were asked: the next one's place, given out under a lock of this row
    turns integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
-- the list, newest first: ids are UUIDv7 and so in order of time
create index conversations_by_tenant on conversations (tenant_id, id desc);

alter table questions
    add column conversation_id uuid references conversations on delete cascade,
    -- its place in the conversation, from 1
    add column turn integer,
    -- what a follow-up was taken for: this is what was searched for
    add column standalone_question text,
    add constraint questions_turn_in_conversation check ((conversation_id is null) = (turn is null));
-- two questions asked at once have two places; also the history of a turn, and deleting a conversation
create unique index questions_turn_unique on questions (conversation_id, turn) where conversation_id is not null;

-- Answers from before this don't tell.
alter table sources add column cited boolean not null default false;
