-- How the tables and indexes are, as lines of metrics: maintenance.sh runs it. Estimates of the statistics collector,
-- which cost nothing; nothing here reads a table.
select format('lectern_table_rows{table="%s"} %s', relname, n_live_tup) from pg_stat_user_tables order by relname;
select format('lectern_table_dead_ratio{table="%s"} %s', relname, round(n_dead_tup / greatest(n_live_tup + n_dead_tup, 1)::numeric, 4))
from pg_stat_user_tables order by relname;
select format('lectern_table_bytes{table="%s",part="%s"} %s', relname, part, bytes)
from pg_stat_user_tables
cross join lateral (values
    ('rows', pg_relation_size(relid)),
    ('toast', pg_table_size(relid) - pg_relation_size(relid)),
    ('indexes', pg_indexes_size(relid))) parts (part, bytes)
order by relname, part;
select format('lectern_index_valid{index="%s"} %s', indexrelid::regclass, indisvalid::int)
from pg_index join pg_stat_user_tables on relid = indrelid order by indexrelid::regclass::text;
select format('lectern_index_bytes_per_row{index="%s"} %s', i.relname, round(pg_relation_size(i.oid) / n_live_tup::numeric, 1))
from pg_index
join pg_class i on i.oid = indexrelid
join pg_am on pg_am.oid = i.relam and amname in ('hnsw', 'ivfflat')
join pg_stat_user_tables on relid = indrelid and n_live_tup > 0
order by i.relname;
-- PostgreSQL stops writing near 2^31.
select format('lectern_transaction_age_ratio %s', round(age(datfrozenxid) / 2147483648::numeric, 4)) from pg_database where datname = current_database();
