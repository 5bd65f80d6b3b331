#!/usr/bin/env bash
# Holds the dashboards against Grafana's own types, strictly: no field that Grafana doesn't know, no value that it doesn't take.
#
#   deploy/test/grafana.sh
#
# The types are those of the package @grafana/schema of the version that compose.prod.yml runs; TypeScript is the page's.
# `make test-dashboards` runs this first.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
tools=$root/.dev/grafana
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

version=$(sed -nE 's/^    image: grafana\/grafana:(.*)/\1/p' "$root/deploy/compose.prod.yml")
tsc=$root/web/node_modules/.bin/tsc
[ -x "$tsc" ] || die "TypeScript is missing: run 'make web'"
if ! grep -qs "\"version\": \"$version\"" "$tools/package/package.json"; then
  say "fetching Grafana's types"
  rm -rf "$tools"
  mkdir -p "$tools"
  (cd "$tools" && npm pack --silent "@grafana/schema@$version" >/dev/null && tar -xzf ./*.tgz) || die "npm couldn't fetch @grafana/schema: check the network and try again"
fi

# type_check FILE...: each dashboard as a literal of Grafana's types, which TypeScript then compares field by field
type_check() {
  local file number=0
  rm -rf "${scratch:?}"/*
  local types=$tools/package/dist/types/raw
  printf 'import type * as grafana from "%s";\nimport type { FieldConfig, Options } from "%s";\n' "$types/dashboard/x/dashboard_types.gen" \
    "$types/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen" >"$scratch/types.ts"
  cat >>"$scratch/types.ts" <<'TS'
// JSON has the values of enums, not their names.
type Values<T> = T extends string ? `${T}` : T extends (infer U)[] ? Values<U>[] : T extends object ? { [K in keyof T]: Values<T[K]> } : T;
type Only<T, K extends keyof T> = Omit<T, K>;
// What we ask Prometheus with, as its data source reads it.
type Target = { refId: string; datasource: grafana.DataSourceRef; expr: string; legendFormat: string; range: true; hide?: boolean };
type Defaults = Only<grafana.FieldConfig, "custom"> & { custom?: FieldConfig };
type TimeSeries = Only<grafana.Panel, "type" | "options" | "targets" | "fieldConfig"> & {
  type: "timeseries";
  options: Options;
  targets: Target[];
  fieldConfig: Only<grafana.FieldConfigSource, "defaults"> & { defaults: Defaults };
};
export type Dashboard = Values<Only<grafana.Dashboard, "panels"> & { panels: (TimeSeries | grafana.RowPanel)[] }>;
TS
  for file in "$@"; do
    number=$((number + 1))
    { echo 'import type { Dashboard } from "./types"; export const dashboard: Dashboard ='; cat "$file"; } >"$scratch/${number}_$(basename "$file" .json).ts"
  done
  (cd "$scratch" && "$tsc" --strict --noEmit --skipLibCheck --moduleResolution bundler --module esnext --target esnext ./*_*.ts)
}

type_check "$root"/grafana/dashboards/*.json || die "these dashboards aren't what Grafana $version takes"

# Types that let everything through would prove nothing.
broken=$(mktemp -d)
trap 'rm -rf "$scratch" "$broken"' EXIT
sed '0,/"title":/s//"titel":/' "$root/grafana/dashboards/host.json" >"$broken/field.json"
sed '0,/"drawStyle": "line"/s//"drawStyle": "lines"/' "$root/grafana/dashboards/host.json" >"$broken/value.json"
for file in "$broken"/*.json; do
  if type_check "$file" >/dev/null; then die "$(basename "$file") was taken, which is wrong on purpose"; fi
done
say "$(find "$root/grafana/dashboards" -name '*.json' | wc -l) dashboards are what Grafana $version takes"
