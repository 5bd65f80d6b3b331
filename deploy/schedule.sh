#!/usr/bin/env bash
# Runs backups, verifications and maintenance by the clock in a container: cron with a table from the settings.
#
# Settings: LECTERN_BACKUP_SCHEDULE (15 2 * * *), LECTERN_VERIFY_SCHEDULE (0 4 * * 0), LECTERN_MAINTENANCE_SCHEDULE (7 * * * *),
# as cron writes times, in UTC; and those of the scripts. What they say goes to the container's log.
set -euo pipefail

umask 077
settings=/run/lectern-schedule.env
# cron gives its jobs no environment; they read it from this file.
env | grep -E '^(LECTERN|AWS|RCLONE|TZ)[A-Z0-9_]*=' >"$settings"
cat >/etc/cron.d/lectern <<END
PATH=$PATH
LECTERN_OPS_ENV=$settings
${LECTERN_BACKUP_SCHEDULE:-15 2 * * *} root backup.sh >/proc/1/fd/1 2>&1
${LECTERN_VERIFY_SCHEDULE:-0 4 * * 0} root verify-backup.sh >/proc/1/fd/1 2>&1
${LECTERN_MAINTENANCE_SCHEDULE:-7 * * * *} root maintenance.sh >/proc/1/fd/1 2>&1
END
chmod 600 /etc/cron.d/lectern
exec cron -f
