# Builds the bot without its simulated servers and runs it as a user without rights.
#
#   docker build --build-arg VM_BALANCER_COMMIT="$(git rev-parse --short HEAD)" \
#                --build-arg VM_BALANCER_DATE="$(git log -1 --format=%cs)" --tag vm-balancer .
#
# Both stages are of the same Debian release, so that the binary finds the C library that it was built with.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# The libraries first: they change seldom, and this layer is kept until they do.
COPY Cargo.toml Cargo.lock ./
# Cargo wants the file of every bench that Cargo.toml names, so each gets one that does nothing.
RUN mkdir -p src benches \
 && awk -F '"' '/^\[\[bench/ { getline; print "fn main() {}" > ("benches/" $2 ".rs") }' Cargo.toml \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs \
 && cargo build --profile dist --locked --no-default-features \
 && rm -r src
COPY src src
# `vm-balancer init` fills it in.
COPY config.env.example ./
# What --version says. It stands behind the libraries, so that another commit does not build them again.
ARG VM_BALANCER_COMMIT=
ARG VM_BALANCER_DATE=
# Sources may be older than the files they take the place of.
RUN touch src/main.rs src/lib.rs \
 && cargo build --profile dist --locked --no-default-features

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -m 0700 -o 10001 -g 10001 /data
COPY --from=build /build/target/dist/vm-balancer /usr/local/bin/vm-balancer
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# Everything that is written is in /data: the root may be read-only.
ENV DATA_DIR=/data HOME=/data
# What a look needed goes back to the system after it; the C library would keep it for the next one.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=1048576 MALLOC_TRIM_THRESHOLD_=1048576
VOLUME /data
WORKDIR /data
# SIGTERM: nothing new is ordered, everything is on disk, and the process ends within 10 s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["/usr/local/bin/vm-balancer", "health"]
ENTRYPOINT ["/usr/local/bin/vm-balancer"]
