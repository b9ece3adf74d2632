# Three images. layer: what dockreg needs, and nothing else, for `COPY --from` into any image with glibc.
# base: a small Debian with supervisord and that layer, to build an app's image on. example: base and an app.
# It builds with BuildKit and with the builder before it.

ARG NODE_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${NODE_IMAGE} AS parts
# Images without a C++ runtime exist, and Node needs one.
RUN mkdir -p /opt/dockreg/bin /opt/dockreg/lib \
  && cp -L "$(command -v node)" /opt/dockreg/bin/node \
  && node --version > /opt/dockreg/lib/node.version \
  && cp -L /usr/lib/*-linux-gnu/libstdc++.so.6 /lib/*-linux-gnu/libgcc_s.so.1 /opt/dockreg/lib/
COPY layer/dockreg /opt/dockreg/bin/dockreg
COPY supervisord/dockreg.conf /opt/dockreg/supervisord/dockreg.conf
COPY dist /opt/dockreg/app
RUN chmod 755 /opt/dockreg/bin/dockreg && chmod -R a+rX /opt/dockreg

FROM scratch AS layer
# Node is by far the largest and changes the least: in a layer of its own, a new dockreg is a small download.
COPY --from=parts /opt/dockreg/bin/node /opt/dockreg/bin/node
COPY --from=parts /opt/dockreg/lib /opt/dockreg/lib
COPY --from=parts /opt/dockreg/supervisord /opt/dockreg/supervisord
COPY --from=parts /opt/dockreg/bin/dockreg /opt/dockreg/bin/dockreg
COPY --from=parts /opt/dockreg/app /opt/dockreg/app

FROM ${BASE_IMAGE} AS base
# A base that brings its supervisord builds without a network.
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
