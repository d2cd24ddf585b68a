# The images of the services, a target each: cohd, console, pmapd, syslinkd, vkerneld. `make images` builds all.
# The Node of the base image runs them; it is the version that package.json pins. By digest: a tag may be moved.
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6

# What every target is made from: code generated from proto/, without what only development needs.
FROM ${NODE_IMAGE} AS source
WORKDIR /app
COPY . .
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --ignore-scripts --no-audit --no-fund && npm run generate && rm -rf node_modules

# The files of one service: its code, the libraries, and its production packages.
FROM source AS cohd-files
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund -w @odonata/cohd && \
    npm sbom --omit=dev --sbom-format=cyclonedx --package-lock-only -w @odonata/cohd >sbom.cdx.json
FROM source AS console-files
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund -w @odonata/console && \
    npm sbom --omit=dev --sbom-format=cyclonedx --package-lock-only -w @odonata/console >sbom.cdx.json
FROM source AS pmapd-files
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund -w @odonata/pmapd && \
    npm sbom --omit=dev --sbom-format=cyclonedx --package-lock-only -w @odonata/pmapd >sbom.cdx.json
# Of it the Job of k8s/components/tls-self-signed runs, too, which makes certificates.
FROM source AS syslinkd-files
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund -w @odonata/syslinkd -w @odonata/authority && \
    npm sbom --omit=dev --sbom-format=cyclonedx --package-lock-only -w @odonata/syslinkd -w @odonata/authority >sbom.cdx.json
FROM source AS vkerneld-files
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund -w @odonata/vkerneld && \
    npm sbom --omit=dev --sbom-format=cyclonedx --package-lock-only -w @odonata/vkerneld >sbom.cdx.json

# No shell starts the services, nothing is written to the image, and the user owns none of its files.
FROM ${NODE_IMAGE} AS base
ARG VERSION=0.2.0
ARG REVISION=unknown
# Where the revision is found.
ARG SOURCE=""
# The time of the revision, not of the build: the same source gives the same labels.
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.vendor="Odonata" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
# npm and yarn are of no use to a service, and their packages would have to be kept free of holes.
RUN rm -rf /usr/local/lib/node_modules /opt/yarn-* /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/yarn* /usr/local/bin/corepack
WORKDIR /app
COPY --from=source /app/package.json /app/LICENSE ./
COPY --from=source /app/libs libs
ENV NODE_ENV=production
USER 10001:10001
# The flags of Node are those of a cluster on one machine; services/vkctl/supervisor/service-spec.ts says why.
ENTRYPOINT ["node", "--external-memory-accounted-in-global-limit", "--min-semi-space-size=16", "--initial-heap-size=256", "--no-memory-reducer"]

FROM base AS cohd
LABEL org.opencontainers.image.title="cohd" org.opencontainers.image.description="Odonata's coherency directory"
COPY --from=cohd-files /app/node_modules node_modules
COPY --from=cohd-files /app/sbom.cdx.json ./
COPY --from=source /app/services/cohd services/cohd
EXPOSE 7421 7422
CMD ["services/cohd/main.ts"]

FROM base AS console
LABEL org.opencontainers.image.title="console" org.opencontainers.image.description="Odonata's page for a browser"
COPY --from=console-files /app/node_modules node_modules
COPY --from=console-files /app/sbom.cdx.json ./
COPY --from=source /app/services/console services/console
EXPOSE 7480 7482
CMD ["services/console/main.ts"]

FROM base AS pmapd
LABEL org.opencontainers.image.title="pmapd" org.opencontainers.image.description="Odonata's pmap manager of a node"
COPY --from=pmapd-files /app/node_modules node_modules
COPY --from=pmapd-files /app/sbom.cdx.json ./
COPY --from=source /app/services/pmapd services/pmapd
EXPOSE 7431 7432
CMD ["services/pmapd/main.ts"]

FROM base AS syslinkd
LABEL org.opencontainers.image.title="syslinkd" org.opencontainers.image.description="Odonata's syslink router"
COPY --from=syslinkd-files /app/node_modules node_modules
COPY --from=syslinkd-files /app/sbom.cdx.json ./
COPY --from=source /app/services/syslinkd services/syslinkd
EXPOSE 7411 7412
CMD ["services/syslinkd/main.ts"]

FROM base AS vkerneld
LABEL org.opencontainers.image.title="vkerneld" org.opencontainers.image.description="Odonata's supervisor of virtual kernels"
COPY --from=vkerneld-files /app/node_modules node_modules
COPY --from=vkerneld-files /app/sbom.cdx.json ./
COPY --from=source /app/services/vkerneld services/vkerneld
EXPOSE 7441 7442
CMD ["services/vkerneld/main.ts"]
