# The agent. Versions are pinned: the builder to the toolchain that Cargo.toml asks for, the runtime to the same Debian
# release, whose libssl and zlib the binary is linked against.

FROM rust:1.95.0-bookworm AS build
# The full image, not -slim: it has what librdkafka's own build needs (C and C++ compilers, make, libssl-dev,
# zlib1g-dev, pkg-config).
WORKDIR /src
COPY . .
# The caches keep dependencies between builds; the binary must leave them, since they are no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin countermand \
    && install -D target/release/countermand /out/countermand

FROM debian:12.12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --user-group --uid 10001 --create-home --home-dir /var/lib/countermand \
        --shell /usr/sbin/nologin countermand
COPY --from=build /out/countermand /usr/local/bin/countermand
COPY scripts/docker/healthz /usr/local/bin/healthz

# Many chains are open at once, each a few kilobytes: with huge pages their memory is found sooner (docs/benchmarks.md).
ENV GLIBC_TUNABLES=glibc.malloc.hugetlb=1

USER countermand
WORKDIR /var/lib/countermand
# The agent listens on loopback unless told otherwise. To publish its port, set COUNTERMAND_HTTP__LISTEN=0.0.0.0:9470 and a
# token in COUNTERMAND_HTTP__TOKEN, which it then asks for.
EXPOSE 9470
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=6 CMD ["healthz"]
ENTRYPOINT ["countermand"]
CMD ["--help"]
