# Builds three images, with BuildKit or with Docker's older builder.
#   layer    only what dockreg needs, for `COPY --from` into any image with glibc
#   base     a small Debian with supervisord and that layer, as the base of an app's image
#   example  base with the example app

ARG NODE_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${NODE_IMAGE} AS files
# Node needs a C++ runtime, which some images do not have.
RUN mkdir -p /opt/dockreg/bin /opt/dockreg/lib \
  && cp -L "$(command -v node)" /opt/dockreg/bin/node \
  && node --version > /opt/dockreg/lib/node.version \
  && cp -L /usr/lib/*-linux-gnu/libstdc++.so.6 /lib/*-linux-gnu/libgcc_s.so.1 /opt/dockreg/lib/
COPY layer/dockreg /opt/dockreg/bin/dockreg
COPY supervisord/dockreg.conf /opt/dockreg/supervisord/dockreg.conf
COPY dist /opt/dockreg/app
RUN chmod 755 /opt/dockreg/bin/dockreg && chmod -R a+rX /opt/dockreg

FROM scratch AS layer
# Node is by far the largest part and rarely changes. In a layer of its own, it keeps updates of dockreg small.
COPY --from=files /opt/dockreg/bin/node /opt/dockreg/bin/node
COPY --from=files /opt/dockreg/lib /opt/dockreg/lib
COPY --from=files /opt/dockreg/supervisord /opt/dockreg/supervisord
COPY --from=files /opt/dockreg/bin/dockreg /opt/dockreg/bin/dockreg
COPY --from=files /opt/dockreg/app /opt/dockreg/app

FROM ${BASE_IMAGE} AS base
# With a base image that contains supervisord, the build needs no network.
RUN command -v supervisord >/dev/null \
  || { apt-get update \
    && apt-get install --yes --no-install-recommends supervisor \
    && rm -rf /var/lib/apt/lists/*; }
COPY --from=layer /opt/dockreg/bin/node /opt/dockreg/bin/node
COPY --from=layer /opt/dockreg/lib /opt/dockreg/lib
COPY --from=layer /opt/dockreg/supervisord /opt/dockreg/supervisord
COPY --from=layer /opt/dockreg/bin/dockreg /opt/dockreg/bin/dockreg
COPY --from=layer /opt/dockreg/app /opt/dockreg/app
COPY supervisord/supervisord.conf /etc/supervisor/supervisord.conf
COPY supervisord/dockreg.conf /etc/supervisor/conf.d/dockreg.conf
CMD ["supervisord", "--nodaemon", "--configuration", "/etc/supervisor/supervisord.conf"]

FROM base AS example
COPY example-app/server.js /app/server.js
COPY example-app/supervisord.conf /etc/supervisor/conf.d/example.conf
ENV DOCKREG_PORT=8000
EXPOSE 8000
