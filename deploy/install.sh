#!/bin/sh
# The steps that images for CPU and GPU share: `packages` what the lock names, `fovea` the wheel and the list of it all.
set -eu
case $1 in
packages)
    python -m venv /opt/fovea
    /opt/fovea/bin/pip install --no-cache-dir --require-hashes --no-deps -r /requirements.lock -r /otel.lock
    ;;
fovea)
    /opt/fovea/bin/pip install --no-cache-dir --no-deps /wheels/*.whl
    /opt/fovea/bin/pip uninstall --yes pip
    # numpy's own tests are a tenth of the image
    find /opt/fovea -type d -name tests -prune -exec rm -r {} +
    # The second folder is the base image's, where its Python is not Debian's
    /opt/sbom/bin/python /sbom.py /var/lib/dpkg/status /opt/fovea/lib/python3.*/site-packages \
        /usr/local/lib/python3.*/site-packages >/opt/fovea/sbom.cdx.json
    ;;
esac
