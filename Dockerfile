# The detector behind HTTP (docs/deploy.md#container): ONNX Runtime on the CPU, without torch.
#
#     docker build -t alfnet .
#     docker run --rm --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 alfnet
#
# It serves the detector that comes with the project. Another one, a file of `alfnet export --dynamic --nms`, is mounted:
#
#     docker run --rm --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -v "$PWD/model.onnx:/models/model.onnx:ro" alfnet

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# What changes seldom comes first. Exact versions, with their hashes; wheels alone, so that no package runs code here.
COPY serve.lock ./
RUN python -m venv /opt/alfnet \
    && /opt/alfnet/bin/pip install --no-cache-dir --no-compile --only-binary=:all: --require-hashes -r serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY alfnet ./alfnet
RUN /opt/alfnet/bin/pip install --no-cache-dir --no-deps . \
    && /opt/alfnet/bin/pip uninstall -q -y pip setuptools \
    && /opt/alfnet/bin/alfnet serve --help > /dev/null

FROM python:3.11-slim-bookworm
COPY --from=build /opt/alfnet /opt/alfnet
COPY weights/photos.onnx /models/model.onnx
ENV PATH=/opt/alfnet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes' runAsNonRoot can see that it is not root. Nothing in the image belongs to it.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["alfnet", "serve", "--weights", "/models/model.onnx", "--host", "0.0.0.0"]
