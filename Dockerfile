# tolokad's image, for any builder with BuildKit: `docker build -t tolokad .`
# `--target simulator` makes the Toloka of docker-compose.yml instead.
# Pin the base by digest, or bring your own: --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# --- everything is installed here; pip and the build backend stay behind
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/tolokad
COPY config/requirements/build.txt config/requirements/runtime.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    tools/bin/pip install --require-hashes -r build.txt \
 && tools/bin/pip --python /opt/tolokad/bin/python install --no-compile --require-hashes -r runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY daemon daemon
# The same files make the same layer: no time of the build stands in what is installed.
ARG SOURCE_DATE_EPOCH=1767225600
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && tools/bin/pip --python /opt/tolokad/bin/python install --no-compile --no-deps dist/*.whl \
 && PYTHONHASHSEED=0 /opt/tolokad/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/tolokad/lib \
 && mkdir /install && cp --archive --parents /opt/tolokad /install \
 && find /install -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# --- what both images have in common
FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/tolokad/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root's; it needs no entry in /etc/passwd and no home.
USER 10001:10001
STOPSIGNAL SIGTERM

# --- a simulated Toloka, and a source of items
FROM build AS simulator-build
COPY config/requirements/simulator.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    tools/bin/pip --python /opt/tolokad/bin/python install --no-compile --require-hashes -r simulator.txt

FROM runtime AS simulator
LABEL org.opencontainers.image.title="tolokad-simulator" \
      org.opencontainers.image.description="A simulated Toloka for tolokad; not for production." \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=simulator-build /opt/tolokad /opt/tolokad
WORKDIR /srv
COPY tests/simulator tests/simulator
COPY tests/demo tests/demo
COPY tests/system/feed.py tests/system/feed.py
COPY tests/checker/content.py tests/checker/content.py
EXPOSE 8000
ENTRYPOINT ["python", "-m", "tests.simulator"]
CMD ["--host", "0.0.0.0", "--port", "8000"]

# --- tolokad
FROM runtime AS tolokad
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tolokad" \
      org.opencontainers.image.description="Streams items from Kafka to Toloka and verdicts back, each exactly once." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /install /
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["tolokad", "healthcheck"]
ENTRYPOINT ["tolokad"]
CMD ["run"]
