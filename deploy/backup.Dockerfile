# What backups, their verification and maintenance run in, by the clock: PostgreSQL's own programs, restic, and a worker,
# which searches what was restored. Built after the image lectern-worker:
#
#   docker build -f deploy/backup.Dockerfile --build-arg LECTERN_VERSION=1.2.3 --tag lectern-backup:1.2.3 deploy
ARG LECTERN_VERSION=latest
# As the service postgres, since pg_dump must not be older than the server; on Debian 13, as the worker is.
ARG POSTGRES=pgvector/pgvector:0.8.6-pg18-trixie
ARG WORKER=lectern-worker:${LECTERN_VERSION}
FROM ${WORKER} AS worker

FROM ${POSTGRES}
# Debian's mirrors are asked by HTTP, and check signatures: no authority is needed, and the package couldn't write where one is mounted.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends ca-certificates cron jq openssl rclone restic >/dev/null \
 && rm -rf /var/lib/apt/lists/* /etc/cron.d/*
# On a new machine restore.sh is the first to have the volume of the uploads, which gets the owner of the folder here.
COPY --from=worker --chown=10001:10001 /var/lib/lectern/ /var/lib/lectern/
COPY --from=worker /opt/lectern /opt/lectern
COPY --from=worker /usr/local/bin/lectern-worker /usr/local/bin/
COPY backup.sh verify-backup.sh restore.sh maintenance.sh schedule.sh /opt/lectern/deploy/
COPY lib /opt/lectern/deploy/lib
ENV LECTERN_MODEL_DIR=/opt/lectern/all-MiniLM-L6-v2 \
    LECTERN_ONNX_RUNTIME=/opt/lectern/libonnxruntime.so \
    LECTERN_PDFIUM=/opt/lectern/libpdfium.so \
    PATH=/opt/lectern/deploy:$PATH
ENTRYPOINT []
CMD ["schedule.sh"]
LABEL org.opencontainers.image.title="lectern-backup" \
      org.opencontainers.image.description="Backups of Lectern, their verification and maintenance, by the clock" \
      org.opencontainers.image.licenses="Apache-2.0"
