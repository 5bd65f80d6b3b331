#!/bin/sh
# Writes nginx's configuration as the settings say, then becomes nginx: the start of the image lectern-web.
#
#   start.sh          serve
#   start.sh reload   have the nginx that runs read its configuration anew, written by these files
#   start.sh health   end with 0 if nginx answers
#
# A release that deploy.sh has laid over the image, so that nginx needn't end for a new page, is used from then on: its
# folder has a start.sh of its own, with its configuration beside it, and its page.
#
# Settings (environment):
#   LECTERN_TLS                        on: https:// with http:// led there; off (default): http:// alone
#   LECTERN_DOMAIN                     the name that people reach Lectern by, without www; needed with LECTERN_TLS=on
#   LECTERN_API                        where the API is (api:8080)
#   LECTERN_CDN                        what stands before nginx: none (default), private or cloudflare; see cdn/
#   LECTERN_UPLOAD_BYTES_MAX           as the API has it (104857600)
#   LECTERN_IMPORT_BYTES_MAX           as the API has it (1073741824)
#   LECTERN_EDGE_REQUESTS_PER_SECOND   requests of an address, in the long run (200)
#   LECTERN_EDGE_BURST                 and as many more at once (400)
#   LECTERN_EDGE_CONNECTIONS_MAX       requests of an address that are open at a time (400)
#   LECTERN_MAINTENANCE_RETRY_SECONDS  what Retry-After says during maintenance (60)
#   LECTERN_WEB_DRAIN_SECONDS          how long streams go on after a reload (600)
#
# Where things are, which the image sets right: LECTERN_WEB_RUN, LECTERN_WEB_PAGE, LECTERN_WEB_TLS, LECTERN_WEB_ACME,
# LECTERN_WEB_FLAGS, LECTERN_WEB_HTTP_PORT, LECTERN_WEB_HTTPS_PORT, LECTERN_WEB_HEALTH_PORT, LECTERN_WEB_LOG, LECTERN_WEB_MIME,
# LECTERN_WEB_VERSION.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
run=${LECTERN_WEB_RUN:-/tmp/nginx}
health_port=${LECTERN_WEB_HEALTH_PORT:-8081}
flags=${LECTERN_WEB_FLAGS:-/run/lectern}
version=${LECTERN_WEB_VERSION:-}
page=${LECTERN_WEB_PAGE:-/usr/share/lectern/page}
if [ -e "$here/../version" ]; then
  version=$(cat "$here/../version")
  page=$(cd "$here/../page" && pwd -P)
fi

die() { printf 'lectern: error: %s\n' "$*" >&2; exit 1; }

# number NAME VALUE
number() {
  case $2 in
    '' | *[!0-9]*) die "$1=$2 is no whole number" ;;
    *) echo "$2" ;;
  esac
}

# word NAME VALUE: nothing that means something to sed or to nginx
word() {
  case $2 in
    *[!A-Za-z0-9.:_/-]*) die "$1=$2 has characters that it can't have" ;;
    *) echo "$2" ;;
  esac
}

resolver() {
  found=$(sed -n 's/^nameserver  *//p' /etc/resolv.conf | head -1)
  case $found in
    *:*) echo "[$found]" ;;
    '') echo 127.0.0.11 ;;
    *) echo "$found" ;;
  esac
}

write_configuration() {
  tls=${LECTERN_TLS:-off}
  case $tls in
    on) mode=https ;;
    off) mode=http ;;
    *) die "LECTERN_TLS is on or off, not $tls" ;;
  esac
  domain=$(word LECTERN_DOMAIN "${LECTERN_DOMAIN:-}")
  certificates=${LECTERN_WEB_TLS:-/etc/lectern/tls}
  if [ "$mode" = https ]; then
    [ -n "$domain" ] || die 'LECTERN_TLS=on needs LECTERN_DOMAIN: the name that people reach Lectern by'
    for file in fullchain.pem privkey.pem; do
      [ -r "$certificates/$file" ] || die "there is no $certificates/$file that user $(id -u) may read: put the certificate there, or set LECTERN_TLS=off"
    done
  fi
  cdn=$(word LECTERN_CDN "${LECTERN_CDN:-none}")
  [ -e "$here/cdn/$cdn.conf" ] || die "LECTERN_CDN=$cdn is unknown: it is none, private or cloudflare"
  upload=$(number LECTERN_UPLOAD_BYTES_MAX "${LECTERN_UPLOAD_BYTES_MAX:-104857600}")
  import=$(number LECTERN_IMPORT_BYTES_MAX "${LECTERN_IMPORT_BYTES_MAX:-1073741824}")
  # From 1.25.1 on it is a directive of its own.
  case $(nginx -v 2>&1 | sed 's|.*nginx/||') in
    1.[0-9].* | 1.1[0-9].* | 1.2[0-4].* | 1.25.0*) listen_http2=' http2' http2='' ;;
    *) listen_http2='' http2='http2 on;' ;;
  esac
  form=1048576 # what a form may add to its file
  mkdir -p "$run"
  for file in "$here"/*.conf "$here/cdn/$cdn.conf"; do
    name=${file##*/}
    case $file in */cdn/*) name=cdn.conf ;; esac
    sed -e "s|@RUN@|$run|g" \
      -e "s|@HERE@|$here|g" \
      -e "s|@MIME@|${LECTERN_WEB_MIME:-/etc/nginx/mime.types}|g" \
      -e "s|@MODE@|$mode|g" \
      -e "s|@DOMAIN@|$domain|g" \
      -e "s|@LISTEN_HTTP2@|$listen_http2|g" \
      -e "s|@HTTP2@|$http2|g" \
      -e "s|@TLS@|$certificates|g" \
      -e "s|@ACME@|${LECTERN_WEB_ACME:-/var/www/acme}|g" \
      -e "s|@FLAGS@|$flags|g" \
      -e "s|@PAGE@|$page|g" \
      -e "s|@VERSION@|$(word LECTERN_WEB_VERSION "$version")|g" \
      -e "s|@API@|$(word LECTERN_API "${LECTERN_API:-api:8080}")|g" \
      -e "s|@RESOLVER@|$(resolver)|g" \
      -e "s|@PORT_HTTP@|$(number LECTERN_WEB_HTTP_PORT "${LECTERN_WEB_HTTP_PORT:-8080}")|g" \
      -e "s|@PORT_HTTPS@|$(number LECTERN_WEB_HTTPS_PORT "${LECTERN_WEB_HTTPS_PORT:-8443}")|g" \
      -e "s|@PORT_HEALTH@|$(number LECTERN_WEB_HEALTH_PORT "$health_port")|g" \
      -e "s|@ACCESS_LOG@|${LECTERN_WEB_LOG:-/dev/stdout}|g" \
      -e "s|@ERROR_LOG@|stderr|g" \
      -e "s|@UPLOAD_BYTES@|$upload|g" \
      -e "s|@IMPORT_BYTES@|$import|g" \
      -e "s|@UPLOAD@|$((upload + form))|g" \
      -e "s|@IMPORT@|$((import + form))|g" \
      -e "s|@REQUESTS@|$(number LECTERN_EDGE_REQUESTS_PER_SECOND "${LECTERN_EDGE_REQUESTS_PER_SECOND:-200}")|g" \
      -e "s|@BURST@|$(number LECTERN_EDGE_BURST "${LECTERN_EDGE_BURST:-400}")|g" \
      -e "s|@CONNECTIONS@|$(number LECTERN_EDGE_CONNECTIONS_MAX "${LECTERN_EDGE_CONNECTIONS_MAX:-400}")|g" \
      -e "s|@RETRY_AFTER@|$(number LECTERN_MAINTENANCE_RETRY_SECONDS "${LECTERN_MAINTENANCE_RETRY_SECONDS:-60}")|g" \
      -e "s|@DRAIN@|$(number LECTERN_WEB_DRAIN_SECONDS "${LECTERN_WEB_DRAIN_SECONDS:-600}")s|g" \
      "$file" >"$run/$name"
  done
  [ "$mode" = https ] || : >"$run/transport.conf"
  # A kernel without IPv6 has nothing to listen on there.
  [ -e /proc/net/if_inet6 ] || sed -i '/listen \[::\]/d' "$run/http.conf" "$run/https.conf"
}

# over: the version of the image that a release was laid over. Another image has its own page, which is newer.
laid_over() { [ -n "$version" ] && [ "$(cat "$flags/release/over" 2>/dev/null)" = "$version" ] && [ -x "$flags/release/current/nginx/start.sh" ]; }

case ${1:-} in
  '')
    if [ "$here" = /etc/lectern/nginx ] && laid_over; then exec "$flags/release/current/nginx/start.sh"; fi
    write_configuration
    exec nginx -e stderr -c "$run/nginx.conf" -g 'daemon off;'
    ;;
  reload)
    # What is wrong in it is said here, and the nginx that runs keeps what it has.
    write_configuration
    nginx -e stderr -q -t -c "$run/nginx.conf"
    exec nginx -e stderr -c "$run/nginx.conf" -s reload
    ;;
  health) exec wget -q -T 3 -O /dev/null "http://127.0.0.1:$health_port/live" ;;
  *)
    sed -n '2,/^set -e/{s/^# \{0,1\}//;/^set -e/!p}' "$0" >&2
    exit 2
    ;;
esac
