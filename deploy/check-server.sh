#!/usr/bin/env bash
# The security checklist of a server of Lectern, which checks itself: one line for each item, and what to do about it.
#
#   deploy/check-server.sh [--url https://lectern.example.org]
#
# Ends with the number of items that fail. Changes nothing. Needs root, to see what listens and what sshd has in effect.
# shellcheck disable=SC2317 # the checks are called by name
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"

url=''
project=${LECTERN_COMPOSE_PROJECT:-lectern}
metrics=${LECTERN_METRICS_DIR:-/var/lib/lectern-metrics}

main() {
  if [ "${1:-}" = --url ]; then url=${2:?--url https://NAME}; fi
  [ "$(id -u)" = 0 ] || die 'this needs root: sudo deploy/check-server.sh'
  failed=0 skipped=0

  item 'SSH takes keys alone' ssh_by_keys 'deploy/server.sh ssh'
  item 'root enters by key or not at all' ssh_root 'deploy/server.sh ssh'
  item 'the firewall drops what is not asked for' firewall_input 'deploy/server.sh firewall'
  item "the firewall holds for Docker's ports, too" firewall_forward 'deploy/server.sh firewall'
  item 'nothing but SSH, HTTP and HTTPS listens to the outside' ports 'stop it, or bind it to 127.0.0.1'
  item 'no container is published to the outside but web' published 'bind its ports to 127.0.0.1 in the compose file'
  item 'Docker binds ports to 127.0.0.1 by itself' docker_default 'deploy/server.sh docker'
  item 'logs of containers are rotated' docker_logs 'deploy/server.sh docker'
  item 'containers run without root, privileges and unlimited memory' containers_are_small 'use deploy/compose.prod.yml as it is'
  item 'Docker is for root alone' docker_group 'gpasswd -d USER docker: its members are root by another name'
  item 'security updates install themselves' updates 'deploy/server.sh updates'
  item 'no update waits for a reboot' no_reboot_due 'reboot'
  item 'there is swap' swap 'deploy/server.sh swap'
  item 'the clock is set by the network' clock 'timedatectl set-ntp true'
  item 'files with secrets are for their owner alone' secrets_are_private 'deploy/server.sh folders'
  item 'passwords of the stack are long and of its own' secrets_are_long 'openssl rand -hex 24, for each of them, in deploy/production.env'
  item 'the certificate holds for two more weeks' certificate 'certbot renew, or deploy/server.sh origin-certificate'
  item 'a backup of the last 26 hours is there' backup_is_fresh 'deploy/BACKUPS.md'
  item 'a backup was restored within the last 8 days' backup_is_verified 'deploy/verify-backup.sh'
  item 'somebody is told of alerts' alerts_are_told 'LECTERN_ALERT_WEBHOOK or LECTERN_ALERT_EMAIL in deploy/production.env'
  item 'timers of backups and maintenance are on' timers 'deploy/server.sh timers'
  item 'a fifth of the disk is free' disk 'deploy/maintenance.sh, then a larger disk'
  if [ -n "$url" ]; then
    item 'http:// leads to https://' redirects 'LECTERN_TLS=on'
    item 'https:// is asked to be kept (HSTS)' hsts 'the image lectern-web sends it with LECTERN_TLS=on'
    item 'TLS 1.1 is refused' old_tls 'use the nginx of lectern-web'
    item 'the development key opens nothing' development_key 'LECTERN_MODE=production'
    item 'metrics are not for the outside' metrics_are_inside 'use the nginx of lectern-web'
  fi
  printf '%d failed, %d could not be looked at\n' "$failed" "$skipped"
  exit "$failed"
}

# item WHAT CHECK NEXT-STEP: a check ends with 0 (it is so), 1 (it isn't; its output says what) or 77 (can't be told here)
item() {
  local code=0 output
  set +e
  output=$(set -e; "$2" 2>&1)
  code=$?
  set -e
  case $code in
    0) printf 'ok      %s\n' "$1" ;;
    77) printf '–       %s: %s\n' "$1" "${output##*$'\n'}"; skipped=$((skipped + 1)) ;;
    *) printf 'FAILED  %s%s\n        next: %s\n' "$1" "${output:+: $(tr '\n' ' ' <<<"$output")}" "$3"; failed=$((failed + 1)) ;;
  esac
}
cannot_tell() { echo "$*"; exit 77; }
has() { command -v "$1" >/dev/null || cannot_tell "there is no $1"; }

# ---------------------------------------------------------------- the machine

sshd_says() { sshd -T 2>/dev/null | awk -v name="$1" '$1 == name && !found { print $2; found = 1 }'; }
ssh_by_keys() { has sshd; [ "$(sshd_says passwordauthentication)" = no ] && [ "$(sshd_says kbdinteractiveauthentication)" = no ]; }
ssh_root() { has sshd; case $(sshd_says permitrootlogin) in no | without-password | prohibit-password | forced-commands-only) ;; *) return 1 ;; esac; }

# In a variable: grep -q would end the pipe before nft has written all of it.
rules_of() { has nft; rules=$(nft list chain inet lectern "$1" 2>/dev/null) || { echo 'its table is not loaded'; return 1; }; }
firewall_input() { rules_of input; grep -q 'policy drop' <<<"$rules"; }
firewall_forward() { rules_of forward; grep -qE 'iifname "[^"]+" drop' <<<"$rules"; }

ports() {
  has ss
  local port open=()
  port=$(sshd_says port || true)
  while read -r address; do
    case $address in
      127.* | '[::1]'* | *%lo:*) continue ;;
    esac
    case ${address##*:} in 80 | 443 | "${port:-22}") continue ;; esac
    open+=("$address")
  done < <(ss -tlnH | awk '{ print $4 }')
  [ ${#open[@]} = 0 ] || { printf '%s\n' "${open[@]}"; return 1; }
}

swap() { [ "$(wc -l </proc/swaps)" -gt 1 ]; }
clock() { has timedatectl; timedatectl show --property=NTPSynchronized 2>/dev/null | grep yes >/dev/null || { timedatectl >/dev/null 2>&1 || cannot_tell 'systemd does not run here'; return 1; }; }
updates() { has unattended-upgrade; local on; on=$(apt-config dump APT::Periodic::Unattended-Upgrade); grep -q '"1"' <<<"$on"; }
no_reboot_due() { [ ! -e /run/reboot-required ]; }
disk() { [ "$(df --output=pcent / | tail -1 | tr -dc 0-9)" -lt 80 ]; }

# ---------------------------------------------------------------- Docker

docker_runs() { has docker; docker info >/dev/null 2>&1 || cannot_tell 'Docker does not run'; }
docker_default() { has docker; jq -e '.ip == "127.0.0.1"' /etc/docker/daemon.json >/dev/null 2>&1; }
docker_logs() { has docker; jq -e '."log-opts"."max-size"' /etc/docker/daemon.json >/dev/null 2>&1; }
docker_group() { local members; members=$(getent group docker | cut -d: -f4); [ -z "$members" ] || { echo "$members"; return 1; }; }

published() {
  docker_runs
  local wide
  wide=$(docker ps --format '{{.Label "com.docker.compose.service"}} {{.Names}} {{.Ports}}' | grep -E '(0\.0\.0\.0|\[?::\]?):[0-9]+->' | grep -v '^web ' || true)
  [ -z "$wide" ] || { echo "$wide"; return 1; }
}

containers_are_small() {
  docker_runs
  local ids bad
  ids=$(docker ps --quiet --filter "label=com.docker.compose.project=$project")
  [ -n "$ids" ] || cannot_tell "no container of the project $project runs"
  # shellcheck disable=SC2086 # a list of ids
  bad=$(docker inspect $ids | jq -r '.[] | (.Config.Labels["com.docker.compose.service"]) as $service
    | select(.HostConfig.Privileged or .HostConfig.Memory == 0
        or ($service | IN("api", "worker", "web")) and ((.Config.User | IN("", "0", "root")) or (.HostConfig.ReadonlyRootfs | not)))
    | $service')
  [ -z "$bad" ] || { echo "$bad"; return 1; }
}

# ---------------------------------------------------------------- Lectern

secrets_are_private() {
  local file wide=()
  for file in "$here"/{production,lectern}.env "$here/backup.key" "$here/tls/privkey.pem" /etc/lectern/*; do
    [ -e "$file" ] || continue
    case $(stat -c %a "$file") in *[0-7]00 | 640 | 440) ;; *) wide+=("$file") ;; esac
    case $file in *privkey.pem) ;; *) [[ $(stat -c %a "$file") == *00 ]] || wide+=("$file") ;; esac
  done
  [ ${#wide[@]} = 0 ] || { printf '%s\n' "${wide[@]}" | sort -u; return 1; }
}

secrets_are_long() {
  [ -e "$here/production.env" ] || cannot_tell 'there is no production.env'
  local name value seen='' bad=()
  for name in POSTGRES_PASSWORD REDIS_PASSWORD GRAFANA_PASSWORD; do
    value=$(sed -n "s/^$name=//p" "$here/production.env")
    if [ ${#value} -lt 20 ] || [[ $seen == *" $value "* ]]; then bad+=("$name"); fi
    seen="$seen $value "
  done
  [ ${#bad[@]} = 0 ] || { echo "${bad[*]}"; return 1; }
}

certificate() {
  [ -e "$here/tls/fullchain.pem" ] || cannot_tell 'there is no certificate in deploy/tls'
  openssl x509 -in "$here/tls/fullchain.pem" -noout -checkend $((14 * 86400)) >/dev/null || { openssl x509 -in "$here/tls/fullchain.pem" -noout -enddate; return 1; }
}

alerts_are_told() {
  [ -e "$here/production.env" ] || cannot_tell 'there is no production.env'
  grep -qE '^LECTERN_ALERT_(WEBHOOK|EMAIL)=.' "$here/production.env"
}

# newer METRIC SECONDS
newer() {
  local at
  at=$(cat "$metrics"/*.prom 2>/dev/null | sed -n "s/^$1{copy=\"main\"} //p")
  [ -n "$at" ] && [ $(($(date +%s) - at)) -lt "$2" ]
}
backup_is_fresh() { newer lectern_backup_last_success_timestamp_seconds $((26 * 3600)); }
backup_is_verified() { newer lectern_backup_verified_timestamp_seconds $((8 * 86400)); }
timers() {
  has systemctl
  systemctl is-system-running >/dev/null 2>&1 || [ -d /run/systemd/system ] || cannot_tell 'systemd does not run here'
  systemctl is-enabled --quiet lectern-maintenance.timer || { echo 'lectern-maintenance.timer is off'; return 1; }
  docker ps --format '{{.Label "com.docker.compose.service"}}' 2>/dev/null | grep -x backup >/dev/null && return 0
  systemctl is-enabled --quiet lectern-backup.timer lectern-verify-backup.timer || { echo 'neither the service backup runs, nor its timers are on'; return 1; }
}

# ---------------------------------------------------------------- from outside

host() { sed -E 's|^https?://([^/]*).*|\1|' <<<"$url"; }
redirects() { [[ $(curl -s -o /dev/null -m 10 -w '%{redirect_url}' "http://$(host)/") == https://* ]]; }
hsts() { local head; head=$(curl -s -I -m 10 "$url/"); grep -qi '^strict-transport-security:' <<<"$head"; }
old_tls() { ! curl -s -o /dev/null -m 10 --tlsv1.1 --tls-max 1.1 "$url/"; }
development_key() { [ "$(curl -s -o /dev/null -m 10 -w '%{http_code}' -H 'Authorization: Bearer lectern-dev' "$url/api/v1/documents")" = 401 ]; }
metrics_are_inside() { local body; body=$(curl -s -m 10 "$url/metrics"); ! grep -q '^lectern_' <<<"$body"; }

main "$@"
