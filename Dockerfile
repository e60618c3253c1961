# Builds the bot without its simulated servers and runs it as a user without rights.
FROM rust:1.95-slim AS build
WORKDIR /build
# The libraries first: they change seldom, and this layer is kept until they do.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
 && cargo build --release --locked --no-default-features \
 && rm -r src
COPY src src
# Sources may be older than the files they take the place of.
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked --no-default-features

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin balancer \
 && install -d -m 0700 -o balancer -g balancer /data
COPY --from=build /build/target/release/vm-balancer /usr/local/bin/vm-balancer
USER balancer
ENV DATA_DIR=/data
VOLUME /data
WORKDIR /data
# SIGTERM: nothing new is ordered, everything is on disk, and the process ends within 10 s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/vm-balancer"]
