#!/usr/bin/env bash
# Checks what deploy/alertmanager/start.sh writes, by Alertmanager's own amtool: `make test-alerts` runs it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
amtool=$root/.dev/prometheus/amtool
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# takes NAME=VALUE...: and prints the receivers
takes() {
  env "$@" sh "$root/deploy/alertmanager/start.sh" write >"$scratch/alertmanager.yml" || return 1
  "$amtool" check-config "$scratch/alertmanager.yml" >"$scratch/answer" 2>&1 || { cat "$scratch/answer" "$scratch/alertmanager.yml"; return 1; }
}
takes LECTERN_ALERT_WEBHOOK=
takes LECTERN_ALERT_WEBHOOK='https://hooks.example.org/a?b=c&d=%20'
grep -q 'https://hooks.example.org/a?b=c&d=%20' "$scratch/alertmanager.yml"
takes LECTERN_ALERT_EMAIL=ops@example.org LECTERN_SMTP_HOST=smtp.example.org:587 LECTERN_SMTP_FROM=lectern@example.org LECTERN_SMTP_USER=u LECTERN_SMTP_PASSWORD="it's #1: {{ x }}"
if takes LECTERN_ALERT_EMAIL=ops@example.org 2>/dev/null; then echo 'mail without a server was taken'; exit 1; fi
# Who is told of what is critical, and of what isn't.
takes LECTERN_ALERT_WEBHOOK=https://hooks.example.org/
for severity in critical warning; do
  [ "$("$amtool" config routes test --config.file="$scratch/alertmanager.yml" "severity=$severity" 2>/dev/null)" = somebody ]
done
