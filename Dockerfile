# Two stages over Debian 12 slim: the first compiles, the second holds the program and what it needs to run, its own
# PostgreSQL included. Both install from the one list, .ci/packages.
#
#   docker build -t meros .
#   docker run -p 8080:8080 -v meros:/var/lib/meros meros                                   embedded PostgreSQL
#   docker run -p 8080:8080 -v meros:/var/lib/meros -e MEROS_DATABASE_URL=postgresql://… meros
FROM debian:12-slim AS build
WORKDIR /src
COPY .ci .ci
RUN sh .ci/install build && rm -rf /var/lib/apt/lists/*
COPY Makefile ./
COPY include include
COPY src src
COPY sql sql
COPY openapi openapi
RUN make -j"$(nproc)" build/meros && strip --strip-debug build/release/meros

FROM debian:12-slim
COPY .ci/install .ci/packages /tmp/ci/
RUN sh /tmp/ci/install run && rm -rf /tmp/ci /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --home-dir /var/lib/meros --no-create-home --shell /usr/sbin/nologin meros \
    && install -d -o meros -g meros -m 0711 /var/lib/meros
COPY --from=build /src/build/release/meros /usr/local/bin/meros
ENV MEROS_BIND=0.0.0.0 \
    MEROS_PORT=8080 \
    MEROS_DATA_DIR=/var/lib/meros \
    MEROS_LOG_FORMAT=json
USER meros
VOLUME /var/lib/meros
EXPOSE 8080
# SIGTERM drains; ten seconds are what it may take, which is also what docker waits by default.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["/bin/sh", "-c", "curl -fsS --noproxy '*' -o /dev/null http://127.0.0.1:${MEROS_PORT}/healthz || curl -fsSk --noproxy '*' -o /dev/null https://127.0.0.1:${MEROS_PORT}/healthz"]
ENTRYPOINT ["/usr/local/bin/meros"]
CMD ["serve"]
