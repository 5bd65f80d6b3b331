#!/usr/bin/env bash
# Whether the release before works on the schema as it is now: while one takes over from the other, both do.
#
#   deploy/test/expand.sh [COMMIT]      the newest tag v*, or else what origin/main is at
#
# Applies the migrations to a scratch database, and has PostgreSQL plan each query that .sqlx described at that commit.
# A query that isn't planned any more is shown with the reason. Needs `make services`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
before=${1:-$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || echo origin/main)}
git rev-parse --quiet --verify "$before^{commit}" >/dev/null ||
  { echo "lectern: error: there is no commit $before: name the one that the release before was made of" >&2; exit 2; }

database=lectern_expand_$$
scratch=$(mktemp -d)
ask() { deploy/dev/services.sh psql -X -q -v ON_ERROR_STOP=1 "$@"; }
trap 'rm -rf "$scratch"; ask -d postgres -c "drop database if exists $database with (force)"' EXIT
ask -d postgres -c "create database $database"
for migration in migrations/*.sql; do ask -d "$database" -f "$migration" >/dev/null 2>&1; done

git archive "$before" .sqlx | tar -x -C "$scratch"
# `lock` can't be planned beforehand.
queries=0 lost=0
while IFS= read -r file; do
  query=$(jq -r .query "$file")
  [[ $query =~ ^[[:space:]]*lock ]] && continue
  queries=$((queries + 1))
  printf 'prepare query as %s;\n' "$query" >"$scratch/query.sql"
  if ! ask -d "$database" -f "$scratch/query.sql" 2>"$scratch/why"; then
    lost=$((lost + 1))
    printf '\n%s\n' "$query"
    sed 's/^/  /' "$scratch/why"
  fi
done < <(find "$scratch/.sqlx" -name '*.json' | sort)
echo "lectern: $queries queries of $before, of which $lost can't be planned on the schema as it is now"
[ "$lost" -eq 0 ]
