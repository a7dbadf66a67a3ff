# A slim image in two stages: build a virtual environment, then copy it next to the program, which runs as an unprivileged user.
FROM python:3.12-slim AS build
WORKDIR /app
COPY requirements.lock .
RUN python -m venv /app/.venv && /app/.venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

FROM python:3.12-slim
# The embedded Valkey is a third faster with jemalloc; nothing else uses it.
RUN apt-get update && apt-get install -y --no-install-recommends libjemalloc2 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --home-dir /home/app app && mkdir -p /data && chown app:app /data
WORKDIR /app
COPY --from=build /app/.venv /app/.venv
COPY engine engine
COPY storage storage
COPY fakemail fakemail
COPY classification classification
COPY actors actors
COPY web web
COPY commands commands
COPY settings settings
COPY run.py initialize_fakemail.py test_flow.py test_large_batch.py test_webhook.py ./
ENV PATH="/app/.venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8005 DATA_DIR=/data
USER app
VOLUME /data
EXPOSE 8005
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8005')}/health/ready\", timeout=4)"]
# The launcher is PID 1: it forwards signals, reaps children, and exits within 10 seconds of SIGTERM.
CMD ["python", "run.py", "serve"]
