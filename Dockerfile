# The gateway as an image: docs/guides/deploy.md. Two stages: the second has no compiler, no package cache and no source.
# The base is named by tag; a registry of yours that pins it by digest goes into BASE.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src

# Every file is held against its hash here, and nothing is fetched afterwards.
COPY requirements.lock ./
RUN pip download --no-cache-dir --disable-pip-version-check --quiet \
      --require-hashes --only-binary :all: --dest /wheels --requirement requirements.lock

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY tools/sbom.py tools/
COPY src src
ARG SOURCE_DATE_EPOCH=1580601600
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir --no-index --find-links /wheels --disable-pip-version-check --quiet hatchling \
 && /build/bin/python -m hatchling build --target wheel --directory /dist

# EXTRAS="" leaves out llama.cpp's server and pip, which fetches its weights.
ARG EXTRAS=local
RUN python -m venv --without-pip /opt/trimtab \
 && pip --python /opt/trimtab/bin/python install --no-cache-dir --no-index --find-links /wheels --disable-pip-version-check --quiet \
      "$(echo /dist/*.whl)${EXTRAS:+[$EXTRAS]}"

FROM ${BASE}
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
 && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/trimtab
COPY --from=build /opt/trimtab /opt/trimtab
COPY deploy/image.toml /etc/trimtab/trimtab.toml
ENV PATH=/opt/trimtab/bin:$PATH \
    HOME=/var/lib/trimtab \
    TRIMTAB_HOME=/var/lib/trimtab \
    TRIMTAB_CONFIG=/etc/trimtab/trimtab.toml \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1
USER 10001:10001
WORKDIR /var/lib/trimtab
VOLUME /var/lib/trimtab
EXPOSE 8800
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8800/healthz', timeout=4)"]
ENTRYPOINT ["trimtab"]
CMD ["serve"]
