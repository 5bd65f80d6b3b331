#!/usr/bin/env bash
# Tests server.sh, its firewall and check-server.sh, in namespaces of their own: nothing of this machine is changed.
#
#   make test-server
#
# A server between "the internet" and "a container", whose ports are published as Docker does it; and this machine's files
# under an overlay, which server.sh writes to. Needs root, nft, ip, sshd, python3. What needs a machine that boots (running what systemd takes,
# swap, apt) isn't tested here; certbot is played by a script that asks for its file as Let's Encrypt does.
set -euo pipefail
# shellcheck disable=SC2317 # the tests are called by name

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=deploy/test/checks.sh
. "$root/deploy/test/checks.sh"
[ "$(id -u)" = 0 ] || { echo 'this needs root'; exit 1; }
for program in nft ip sshd python3 openssl jq systemd-analyze; do
  command -v "$program" >/dev/null || { echo "missing: $program. apt-get install nftables iproute2 openssh-server openssl jq systemd"; exit 1; }
done
# Namespaces that end with this process, and names of network namespaces that nobody else sees.
if [ -z "${LECTERN_TEST_INSIDE:-}" ]; then LECTERN_TEST_INSIDE=yes exec unshare --net --mount --pid --fork --kill-child "$0"; fi

scratch=$(mktemp -d)
main() {
  trap 'umount -l "$scratch"; rmdir "$scratch"' EXIT
  mount -t tmpfs none "$scratch"
  mkdir -p /run/netns
  mount -t tmpfs none /run/netns
  mount -t proc proc /proc
  over /etc
  over /var/lib
  cp -R "$root/deploy" "$scratch/deploy"
  rm -rf /etc/ssh/sshd_config.d/10-lectern.conf
  wire
  check without_the_firewall_what_docker_publishes_is_open
  check the_checklist_fails_on_a_server_as_it_comes
  check without_a_key_for_somebody_ssh_is_left_as_it_is
  check a_dry_run_writes_nothing
  check the_server_is_set_up_and_the_same_again_changes_nothing
  check systemd_takes_the_units_that_were_put_there
  check the_firewall_lets_in_what_is_asked_for_and_nothing_that_docker_publishes
  check containers_reach_the_outside
  check loading_the_firewall_again_leaves_dockers_rules
  check a_certificate_of_a_cdn_is_taken_if_its_key_fits_and_it_has_not_ended
  check a_certificate_is_asked_for_in_the_same_way_before_nginx_is_there_and_after
  check the_checklist_passes_then_and_sees_each_thing_that_is_broken
  end_of_checks
}

over() {
  local name=${1//\//_}
  mkdir -p "$scratch/over/$name"/{upper,work}
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$scratch/over/$name/upper,workdir=$scratch/over/$name/work" "$1"
}

# internet 203.0.113.2 — 203.0.113.1 (outside) server (inside) 172.29.0.1 — 172.29.0.2 container
wire() {
  local space
  ip link set lo up
  for space in internet container; do
    ip netns add $space
    ip -n $space link set lo up
  done
  ip link add outside type veth peer name eth0 netns internet
  ip link add inside type veth peer name eth0 netns container
  ip address add 203.0.113.1/24 dev outside
  ip address add 172.29.0.1/24 dev inside
  ip -n internet address add 203.0.113.2/24 dev eth0
  ip -n container address add 172.29.0.2/24 dev eth0
  for link in outside inside; do ip link set $link up; done
  for space in internet container; do ip -n $space link set eth0 up; done
  ip -n container route add default via 172.29.0.1
  echo 1 >/proc/sys/net/ipv4/ip_forward
  # As Docker publishes ports: 80 and 5432 lead into the container, and what it sends goes out under our address.
  nft -f - <<'END'
table ip docker {
  chain prerouting { type nat hook prerouting priority dstnat; tcp dport 80 dnat to 172.29.0.2:8080; tcp dport 5432 dnat to 172.29.0.2:5432; }
  chain postrouting { type nat hook postrouting priority srcnat; oifname "outside" masquerade; }
}
END
  ip netns exec container python3 -m http.server 8080 >/dev/null 2>&1 &
  ip netns exec container python3 -m http.server 5432 >/dev/null 2>&1 &
  ip netns exec internet python3 -m http.server 443 >/dev/null 2>&1 &
  python3 -m http.server 22 >/dev/null 2>&1 &
  python3 -m http.server 9090 >/dev/null 2>&1 &
  eventually 20 reaches container 127.0.0.1 8080
  eventually 20 reaches container 127.0.0.1 5432
  eventually 20 reaches internet 127.0.0.1 443
  eventually 20 listening 22
  eventually 20 listening 9090
}
reaches() { ip netns exec "$1" timeout 2 bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null; }

# ---------------------------------------------------------------- tests

without_the_firewall_what_docker_publishes_is_open() {
  for port in 22 80 5432 9090; do reaches internet 203.0.113.1 $port; done
}

the_checklist_fails_on_a_server_as_it_comes() {
  sed -i 's/^#*PasswordAuthentication.*/PasswordAuthentication yes/' /etc/ssh/sshd_config
  checklist
  says FAILED 'SSH takes keys alone'
  says FAILED 'the firewall drops what is not asked for'
  says FAILED 'nothing but SSH, HTTP and HTTPS listens to the outside: .*9090'
  says FAILED 'a backup of the last 26 hours is there'
}

without_a_key_for_somebody_ssh_is_left_as_it_is() {
  mkdir -p "$scratch/home"
  sed -i "s|^\([^:]*:[^:]*:[^:]*:[^:]*:[^:]*:\)[^:]*|\1$scratch/home|" /etc/passwd
  local output
  output=$(server ssh 2>&1) && { echo "$output"; return 1; }
  grep -q 'or you are locked out' <<<"$output"
  [ ! -e /etc/ssh/sshd_config.d/10-lectern.conf ]
}

a_dry_run_writes_nothing() {
  mkdir -p "$scratch/home/.ssh"
  echo 'ssh-ed25519 AAAA somebody' >"$scratch/home/.ssh/authorized_keys"
  server --dry-run --outside outside ssh firewall updates docker folders timers
  [ ! -e /etc/nftables.d/lectern.nft ] && [ ! -e /etc/ssh/sshd_config.d/10-lectern.conf ]
}

the_server_is_set_up_and_the_same_again_changes_nothing() {
  # As the package brings it.
  printf '[Unit]\nDescription=Unattended Upgrades Shutdown\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/unattended-upgrades.service
  server --outside outside ssh firewall updates docker folders timers
  grep -qx 'passwordauthentication no' <<<"$(sshd -T)"
  jq -e '.ip == "127.0.0.1"' /etc/docker/daemon.json
  grep -q '"1"' <<<"$(apt-config dump APT::Periodic::Unattended-Upgrade)"
  find /etc -newer "$scratch/home" -type f -exec sha256sum {} + | sort >"$scratch/first"
  server --outside outside ssh firewall updates docker folders timers
  find /etc -newer "$scratch/home" -type f -exec sha256sum {} + | sort | diff "$scratch/first" -
}

# Whether they do their work takes a machine that boots; that there is a program, and when they are due, is told here.
systemd_takes_the_units_that_were_put_there() {
  local units=(/etc/systemd/system/lectern-*)
  ((${#units[@]} >= 7)) || { echo "there are ${#units[@]}"; return 1; }
  [ -z "$(systemd-analyze verify --man=no "${units[@]}" 2>&1 | tee /dev/stderr)" ]
  # One whose program is missing is refused, or this would tell nothing.
  sed 's|^ExecStart=.*|ExecStart=/nowhere|' /etc/systemd/system/lectern-backup.service >"$scratch/lectern-lost.service"
  if systemd-analyze verify --man=no "$scratch/lectern-lost.service"; then echo 'a program that is missing passes'; return 1; fi
}

the_firewall_lets_in_what_is_asked_for_and_nothing_that_docker_publishes() {
  reaches internet 203.0.113.1 22
  reaches internet 203.0.113.1 80
  for port in 5432 9090; do
    if reaches internet 203.0.113.1 $port; then echo "$port is open"; return 1; fi
  done
  # Nor by the address inside.
  ip -n internet route add 172.29.0.0/24 via 203.0.113.1
  if reaches internet 172.29.0.2 5432 || reaches internet 172.29.0.2 8080; then echo 'the container can be reached past its ports'; return 1; fi
  listening 9090
}

containers_reach_the_outside() { reaches container 203.0.113.2 443; }

loading_the_firewall_again_leaves_dockers_rules() {
  nft -f /etc/nftables.d/lectern.nft
  nft list table ip docker >/dev/null
  reaches internet 203.0.113.1 80
}

a_certificate_of_a_cdn_is_taken_if_its_key_fits_and_it_has_not_ended() {
  local days
  for days in 90 3; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=lectern.test -addext subjectAltName=DNS:lectern.test \
      -days $days -keyout "$scratch/$days.key" -out "$scratch/$days.pem" 2>/dev/null
  done
  if server origin-certificate "$scratch/90.pem" "$scratch/3.key"; then return 1; fi
  if server origin-certificate "$scratch/3.pem" "$scratch/3.key"; then return 1; fi
  server origin-certificate "$scratch/90.pem" "$scratch/90.key"
  [ "$(stat -c '%a %g' "$scratch/deploy/tls/privkey.pem")" = '640 101' ]
}

# What it remembers for renewals is what it was told the first time, when nginx wasn't there.
a_certificate_is_asked_for_in_the_same_way_before_nginx_is_there_and_after() {
  local first answering
  mkdir -p "$scratch/bin" "$scratch/deploy/acme" /etc/letsencrypt/live/lectern.test
  cp "$scratch/90.pem" /etc/letsencrypt/live/lectern.test/fullchain.pem
  cp "$scratch/90.key" /etc/letsencrypt/live/lectern.test/privkey.pem
  cat >"$scratch/bin/certbot" <<'END'
#!/bin/bash
set -eu
echo "$*" >>"$ASKED"
while [ $# -gt 0 ]; do
  case $1 in --webroot-path) folder=$2 ;; --deploy-hook) hook=$2 ;; esac
  shift
done
mkdir -p "$folder/.well-known/acme-challenge"
echo proof >"$folder/.well-known/acme-challenge/token"
for _ in $(seq 50); do [ "$(curl -s http://127.0.0.1/.well-known/acme-challenge/token)" != proof ] || break; sleep 0.1; done
[ "$(curl -s http://127.0.0.1/.well-known/acme-challenge/token)" = proof ]
RENEWED_LINEAGE=/etc/letsencrypt/live/lectern.test "$hook"
END
  # shellcheck disable=SC2016 # the script has these
  printf '#!/bin/sh\necho "docker $*" >>"$ASKED"\n[ "$1" != ps ] || echo nginx-1\n' >"$scratch/bin/docker"
  chmod 755 "$scratch"/bin/*
  rm -f "$scratch/deploy/tls"/*.pem
  ASKED=$scratch/asked PATH=$scratch/bin:$PATH server certificate lectern.test ops@lectern.test
  [ "$(stat -c '%a %g' "$scratch/deploy/tls/privkey.pem")" = '640 101' ]
  grep -q -- '--webroot ' "$scratch/asked"
  grep -qx 'docker exec nginx-1 nginx -e stderr -c /tmp/nginx/nginx.conf -s reload' "$scratch/asked"
  if listening 80; then echo 'what answered for nginx still does'; return 1; fi
  first=$(grep webroot "$scratch/asked")
  python3 -m http.server --directory "$scratch/deploy/acme" 80 >/dev/null 2>&1 & # as nginx does
  answering=$!
  eventually 20 listening 80
  ASKED=$scratch/again PATH=$scratch/bin:$PATH server certificate lectern.test ops@lectern.test
  kill "$answering"
  equal "$(grep webroot "$scratch/again")" "$first"
}

the_checklist_passes_then_and_sees_each_thing_that_is_broken() {
  checklist
  for item in 'SSH takes keys alone' 'root enters by key' 'the firewall drops' "the firewall holds for Docker's ports" 'Docker binds ports' \
    'logs of containers are rotated' 'the certificate holds'; do says ok "$item"; done
  sed 's/PasswordAuthentication no/PasswordAuthentication yes/' -i /etc/ssh/sshd_config.d/10-lectern.conf
  nft delete chain inet lectern forward
  printf 'POSTGRES_PASSWORD=short\nREDIS_PASSWORD=%s\nGRAFANA_PASSWORD=%s\n' {0123456789abcdef0123456789,0123456789abcdef0123456789} >"$scratch/deploy/production.env"
  chmod 644 "$scratch/deploy/production.env"
  cp "$scratch/3.pem" "$scratch/deploy/tls/fullchain.pem"
  checklist
  says FAILED 'SSH takes keys alone'
  says FAILED "the firewall holds for Docker's ports"
  says FAILED 'files with secrets are for their owner alone: .*production.env'
  says FAILED 'passwords of the stack are long and of its own: POSTGRES_PASSWORD GRAFANA_PASSWORD'
  says FAILED 'the certificate holds for two more weeks'
}

# ---------------------------------------------------------------- the means

server() { "$scratch/deploy/server.sh" "$@" 2>&1; }
checklist() { "$scratch/deploy/check-server.sh" >"$scratch/checklist" 2>&1 || true; cat "$scratch/checklist"; }
says() { grep -qE "^$1 +$2" "$scratch/checklist" || { echo "it doesn't say: $1 $2"; exit 1; }; }

main
