#!/usr/bin/env bash
# Prepares a fresh server (Ubuntu 24.04, Debian 13) for Lectern: firewall, SSH by keys alone, swap, updates by themselves,
# Docker. deploy/SERVER.md says what and why. May be run again at any time; check-server.sh tells whether it holds.
#
#   deploy/server.sh [--ssh-port 22] [--outside INTERFACE] [--swap-gib 2] [--dry-run] [STEP…]
#   deploy/server.sh certificate DOMAIN EMAIL     one of Let's Encrypt, renewed by itself
#   deploy/server.sh origin-certificate FULLCHAIN PRIVKEY     one that a CDN has given
#
# Steps, all of them without a name: packages ssh firewall swap kernel updates docker folders timers
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"

ssh_port=22 outside='' swap_gib=2 dry_run=''
tls=$here/tls
# nginx's user in the image lectern-web
web_user=101

main() {
  local steps=()
  [ "$(id -u)" = 0 ] || die 'this needs root: sudo deploy/server.sh'
  case ${1:-} in
    certificate) shift; certificate "$@"; return ;;
    origin-certificate) shift; origin_certificate "$@"; return ;;
  esac
  while [ $# -gt 0 ]; do
    case $1 in
      --ssh-port) ssh_port=${2:?--ssh-port NUMBER}; shift 2 ;;
      --outside) outside=${2:?--outside INTERFACE}; shift 2 ;;
      --swap-gib) swap_gib=${2:?--swap-gib NUMBER}; shift 2 ;;
      --dry-run) dry_run=yes; shift ;;
      packages | ssh | firewall | swap | kernel | updates | docker | folders | timers) steps+=("$1"); shift ;;
      *) usage; exit 2 ;;
    esac
  done
  whole_number ssh_port
  whole_number swap_gib
  [ ${#steps[@]} -gt 0 ] || steps=(packages ssh firewall swap kernel updates docker folders timers)
  for step in "${steps[@]}"; do
    say "$step"
    "set_up_$step"
  done
  say 'done; deploy/check-server.sh tells what is left'
}

act() { if [ -n "$dry_run" ]; then say "would run: $*"; else "$@"; fi; }

# put FILE [MODE]: standard input becomes FILE, if it isn't that already. Ends with 0 when it has changed.
put() {
  local new
  new=$(mktemp)
  cat >"$new"
  if cmp -s "$new" "$1"; then rm "$new"; return 1; fi
  if [ -n "$dry_run" ]; then say "would write $1"; rm "$new"; return 1; fi
  install -D -m "${2:-644}" "$new" "$1"
  rm "$new"
}

set_up_packages() {
  local plugins=(docker-compose docker-buildx)
  act apt-get update -qq
  # Ubuntu's name of Compose 2; Debian 13 calls it docker-compose, and Debian 12 has only version 1.
  if apt-cache show docker-compose-v2 >/dev/null 2>&1; then plugins=(docker-compose-v2 docker-buildx); fi
  act env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    ca-certificates certbot curl docker.io "${plugins[@]}" jq nftables openssh-server openssl restic rclone unattended-upgrades
}

set_up_ssh() {
  somebody_has_a_key || die "nobody has a key in an authorized_keys: ssh-copy-id first, or you are locked out"
  put /etc/ssh/sshd_config.d/10-lectern.conf <<END || return 0
# By keys alone, and root no other way. Files before this one in the order of names win over it.
Port $ssh_port
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
X11Forwarding no
AllowAgentForwarding no
MaxAuthTries 4
LoginGraceTime 30
ClientAliveInterval 60
ClientAliveCountMax 5
END
  mkdir -p /run/sshd
  sshd -t || die 'sshd refuses its settings (see above): nothing was reloaded'
  # Ubuntu starts it by a socket, which has the port.
  systemctl daemon-reload 2>/dev/null || true
  systemctl reload-or-restart ssh 2>/dev/null || say 'sshd reads this at its next start'
}

somebody_has_a_key() {
  local home
  while IFS=: read -r _ _ _ _ _ home _; do
    if [ -s "$home/.ssh/authorized_keys" ]; then return 0; fi
  done </etc/passwd
  return 1
}

set_up_firewall() {
  [ -n "$outside" ] || outside=$(ip -o route get 1.1.1.1 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p') || true
  [ -n "$outside" ] || die 'which interface leads to the internet? Say --outside INTERFACE'
  if command -v ufw >/dev/null && ufw status 2>/dev/null | grep '^Status: active' >/dev/null; then act ufw disable; fi
  sed -e "s/@SSH@/$ssh_port/; s/@OUTSIDE@/$outside/" "$here/server/firewall.nft" | put /etc/nftables.d/lectern.nft || true
  # Of its own: Debian's nftables.service begins with `flush ruleset`, which takes Docker's rules away at each reload.
  put /etc/systemd/system/lectern-firewall.service <<END || true
[Unit]
Description=The firewall of Lectern
Before=network-pre.target docker.service
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/nftables.d/lectern.nft
ExecReload=/usr/sbin/nft -f /etc/nftables.d/lectern.nft
[Install]
WantedBy=multi-user.target
END
  act nft -f /etc/nftables.d/lectern.nft
  act enable lectern-firewall.service
}

enable() { systemctl enable --now "$@" 2>/dev/null || systemctl enable "$@"; }

set_up_swap() {
  [ "$(awk 'NR > 1 { found = 1 } END { print found + 0 }' /proc/swaps)" = 0 ] || { say 'there is swap already'; return 0; }
  [ "$swap_gib" -gt 0 ] || return 0
  act fallocate -l "${swap_gib}G" /swapfile
  act chmod 600 /swapfile
  act mkswap /swapfile
  act swapon /swapfile
  grep -q '^/swapfile ' /etc/fstab || act sh -c 'echo "/swapfile none swap sw 0 0" >>/etc/fstab'
}

set_up_kernel() {
  put /etc/sysctl.d/60-lectern.conf <<'END' || return 0
# Swap is for what nobody uses, not for what is busy.
vm.swappiness = 10
# Redis forks to write its log anew.
vm.overcommit_memory = 1
# Addresses that lie, redirects and source routes.
net.ipv4.conf.all.rp_filter = 1
net.ipv4.conf.all.accept_redirects = 0
net.ipv6.conf.all.accept_redirects = 0
net.ipv4.conf.all.accept_source_route = 0
net.ipv4.tcp_syncookies = 1
kernel.dmesg_restrict = 1
kernel.kptr_restrict = 2
END
  sysctl --quiet --load /etc/sysctl.d/60-lectern.conf || say 'the kernel takes some of this at its next start'
}

set_up_updates() {
  put /etc/apt/apt.conf.d/52lectern-upgrades <<'END' || true
// Security updates each day, by themselves; a reboot that one needs, at a quiet hour.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
Unattended-Upgrade::Automatic-Reboot "true";
Unattended-Upgrade::Automatic-Reboot-Time "04:45";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
END
  act enable unattended-upgrades.service
}

set_up_docker() {
  put /etc/docker/daemon.json <<'END' || return 0
{
  "ip": "127.0.0.1",
  "live-restore": true,
  "userland-proxy": false,
  "no-new-privileges": true,
  "log-driver": "json-file",
  "log-opts": { "max-size": "10m", "max-file": "5" }
}
END
  systemctl restart docker 2>/dev/null || say 'Docker reads this at its next start'
}

set_up_folders() {
  act install -d -m 700 /etc/lectern /var/lib/lectern-backup /var/lib/lectern-deploy
  act install -d -m 755 /var/lib/lectern-metrics "$here/acme"
  act install -d -m 750 -g "$web_user" "$tls"
  local file
  for file in "$here"/{production,lectern}.env "$here/backup.key" /etc/lectern/*; do
    if [ -e "$file" ]; then act chmod go= "$file"; fi
  done
}

set_up_timers() {
  local unit
  for unit in "$here"/systemd/lectern-*; do
    sed "s|/opt/lectern/deploy|$here|g" "$unit" | put "/etc/systemd/system/${unit##*/}" || true
  done
  systemctl daemon-reload 2>/dev/null || true
  act enable lectern-maintenance.timer
  if [ -e /etc/lectern/backup.env ]; then
    act enable lectern-backup.timer lectern-verify-backup.timer
  else
    say 'backups are for the service backup (deploy/BACKUPS.md); their timers wait for /etc/lectern/backup.env'
  fi
}

# ---------------------------------------------------------------- certificates

# Let's Encrypt asks port 80 for a file in the folder acme, which nginx serves (LECTERN_ACME_FOLDER); as long as nothing listens
# there yet, Python does. certbot remembers the folder, and so renews with nginx there: had it answered by itself the first
# time (--standalone), it would want the port each time.
# The hook has a place of its own and is named, since certonly runs those of renewal-hooks/deploy in its latest versions alone.
certificate() {
  local domain=${1:?certificate DOMAIN EMAIL} email=${2:?certificate DOMAIN EMAIL} hook=/etc/letsencrypt/lectern-deploy.sh answering=''
  install -d -m 755 "$here/acme"
  put "$hook" 755 <<END || true
#!/bin/sh
# What certbot has renewed becomes nginx's: it alone may read the key.
set -eu
install -m 644 "\$RENEWED_LINEAGE/fullchain.pem" "$tls/fullchain.pem"
install -m 640 -g $web_user "\$RENEWED_LINEAGE/privkey.pem" "$tls/privkey.pem"
# By nginx itself: Docker takes a container that it has sent a signal to for one that was stopped by hand.
for container in \$(docker ps --quiet --filter label=com.docker.compose.project=lectern --filter label=com.docker.compose.service=web); do
  docker exec "\$container" nginx -e stderr -c /tmp/nginx/nginx.conf -s reload
done
END
  rm -f /etc/letsencrypt/renewal-hooks/deploy/lectern.sh # of an earlier version of this script
  install -d -m 750 -g "$web_user" "$tls"
  if [ -z "$(ss -tlnH 'sport = :80')" ]; then
    python3 -m http.server --directory "$here/acme" 80 >/dev/null 2>&1 &
    answering=$!
    # shellcheck disable=SC2064 # this process
    trap "kill $answering 2>/dev/null || true" EXIT
  fi
  certbot certonly --non-interactive --agree-tos --email "$email" --domain "$domain" --domain "www.$domain" \
    --cert-name "$domain" --webroot --webroot-path "$here/acme" --deploy-hook "$hook"
  # One that was there already and isn't due runs no hook.
  [ -e "$tls/fullchain.pem" ] || RENEWED_LINEAGE=/etc/letsencrypt/live/$domain "$hook"
  [ -z "$answering" ] || kill "$answering"
}

origin_certificate() {
  local chain=${1:?origin-certificate FULLCHAIN PRIVKEY} key=${2:?origin-certificate FULLCHAIN PRIVKEY}
  [ "$(openssl x509 -in "$chain" -noout -pubkey | sha256sum)" = "$(openssl pkey -in "$key" -pubout | sha256sum)" ] || die "$key isn't the key of $chain"
  openssl x509 -in "$chain" -noout -checkend $((7 * 86400)) >/dev/null || die "$chain has ended, or ends within a week"
  install -d -m 750 -g "$web_user" "$tls"
  install -m 644 "$chain" "$tls/fullchain.pem"
  install -m 640 -g "$web_user" "$key" "$tls/privkey.pem"
  say "nginx reads it at its next start or reload: docker compose … exec web /etc/lectern/nginx/start.sh reload"
}

main "$@"
