# syntax=docker/dockerfile:1
# One image for all roles: the role is the command (`control-plane`, `worker`, `data-plane`, `migrate`), and so are the
# operator's commands. It runs as any user, with a read-only root; a worker needs a writable /tmp.
#
#   docker buildx build -t registry.example.com/tenantry:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
# With a list of what is in it (SPDX) and a statement how it was made (SLSA), both attached to the image:
#
#   docker buildx build --sbom=true --provenance=true --push -t registry.example.com/tenantry:0.1.0 .
#   docker buildx imagetools inspect registry.example.com/tenantry:0.1.0 --format '{{ json .SBOM }}'

# The same Debian as below: a binary needs a C library that is at least as new as that of its build.
FROM rust:1.95-trixie AS build
ARG TARGETARCH
WORKDIR /src
# Queries were checked when they were written; the image is built without a database.
ENV SQLX_OFFLINE=true CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
COPY . .
# Dependencies and what was compiled stay in the builder's caches, so that the next build compiles what has changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/usr/local/cargo/git,sharing=locked \
    --mount=type=cache,id=tenantry-target-$TARGETARCH,target=/src/target,sharing=locked \
    cargo build --locked --release --package tenantry-cli --bin tenantry \
    && install -m 0755 target/release/tenantry /usr/local/bin/tenantry

# glibc, libgcc and the public CAs, and nothing else: no shell, no package manager.
# checkov:skip=CKV_DOCKER_2: health differs by role, and is asked at the admin port (/livez, /readyz) by whoever runs it
FROM gcr.io/distroless/cc-debian13:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tenantry" \
      org.opencontainers.image.description="Gives every customer of a SaaS its own PostgreSQL: a schema, a database or a server, by plan" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian13:nonroot"
COPY --from=build /usr/local/bin/tenantry /usr/local/bin/tenantry
# The sample apps, for `tenantry apps push /usr/share/tenantry/apps/crm`.
COPY migrations/tenant /usr/share/tenantry/apps
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# The API, tenants' data, and the admin port. Each listens where its setting says; the default is this machine alone.
EXPOSE 8080 8081 9180
ENTRYPOINT ["tenantry"]
