#!/bin/sh
# Writes Alertmanager's configuration as the settings say, then becomes Alertmanager: the service alertmanager of
# compose.prod.yml. Without a setting nobody is told, and its log says so.
#
#   start.sh          serve
#   start.sh write    print the configuration
#
# Settings (environment):
#   LECTERN_ALERT_WEBHOOK    an address that alerts are POSTed to as JSON: a chat, a pager, a script
#   LECTERN_ALERT_EMAIL      who gets them by mail, which needs:
#   LECTERN_SMTP_HOST        server:port, with STARTTLS or, on port 465, TLS
#   LECTERN_SMTP_FROM        the sender
#   LECTERN_SMTP_USER, LECTERN_SMTP_PASSWORD
set -eu

die() { printf 'lectern: error: %s\n' "$*" >&2; exit 1; }

# quoted NAME VALUE: as YAML takes any text
quoted() {
  case $2 in *[[:cntrl:]]*) die "$1 has characters that it can't have" ;; esac
  printf "'%s'" "$(printf %s "$2" | sed "s/'/''/g")"
}

configuration() {
  if [ -n "${LECTERN_ALERT_EMAIL:-}" ]; then
    if [ -z "${LECTERN_SMTP_HOST:-}" ] || [ -z "${LECTERN_SMTP_FROM:-}" ]; then die 'LECTERN_ALERT_EMAIL needs LECTERN_SMTP_HOST and LECTERN_SMTP_FROM'; fi
    cat <<YAML
global:
  smtp_smarthost: $(quoted LECTERN_SMTP_HOST "$LECTERN_SMTP_HOST")
  smtp_from: $(quoted LECTERN_SMTP_FROM "$LECTERN_SMTP_FROM")
  smtp_auth_username: $(quoted LECTERN_SMTP_USER "${LECTERN_SMTP_USER:-}")
  smtp_auth_password: $(quoted LECTERN_SMTP_PASSWORD "${LECTERN_SMTP_PASSWORD:-}")
YAML
  fi
  # What comes together is told together; what goes on is told again after four hours, what can wait after a day.
  cat <<'YAML'
route:
  receiver: somebody
  group_by: [alertname]
  group_wait: 10s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - matchers: ['severity="warning"']
      repeat_interval: 24h
# An API that is down explains that nobody answers; what follows from it needn't be told as well.
inhibit_rules:
  - source_matchers: ['severity="critical"', 'alertname=~"PostgresDown|LecternApiDown"']
    target_matchers: ['severity="warning"', 'alertname=~"Lectern.*"']
receivers:
  - name: somebody
YAML
  if [ -n "${LECTERN_ALERT_WEBHOOK:-}" ]; then
    printf '    webhook_configs:\n      - url: %s\n        send_resolved: true\n' "$(quoted LECTERN_ALERT_WEBHOOK "$LECTERN_ALERT_WEBHOOK")"
  fi
  if [ -n "${LECTERN_ALERT_EMAIL:-}" ]; then
    printf '    email_configs:\n      - to: %s\n        send_resolved: true\n' "$(quoted LECTERN_ALERT_EMAIL "$LECTERN_ALERT_EMAIL")"
  fi
}

case ${1:-} in
  '')
    umask 077
    configuration >/tmp/alertmanager.yml
    [ -n "${LECTERN_ALERT_WEBHOOK:-}${LECTERN_ALERT_EMAIL:-}" ] || echo 'lectern: nobody is told of alerts: set LECTERN_ALERT_WEBHOOK or LECTERN_ALERT_EMAIL' >&2
    for program in alertmanager prometheus-alertmanager; do
      if command -v "$program" >/dev/null; then
        exec "$program" --config.file=/tmp/alertmanager.yml --storage.path=/alertmanager --cluster.listen-address= --web.listen-address=:9093
      fi
    done
    die 'there is no alertmanager in this image' ;;
  write) configuration ;;
  *) sed -n '2,/^set -e/{s/^# \{0,1\}//;/^set -e/!p}' "$0" >&2; exit 2 ;;
esac
