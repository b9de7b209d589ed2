# One image for all commands: docker run … serve, … scheduler, … init.
# The larger image has make; nothing of it is in the last one.
FROM python:3.12 AS build
WORKDIR /sources
COPY . .
RUN make dist
# PostgreSQL's client comes along, so that the same image serves a single node and several.
RUN python -m venv /opt/bespoke
RUN /opt/bespoke/bin/python -m pip install --no-cache-dir "$(ls dist/*.whl)[postgres]"

FROM python:3.12-slim
COPY --from=build /opt/bespoke /opt/bespoke
RUN useradd --uid 10001 --create-home --home-dir /data bespoke
USER 10001
# The default database is a file of the working folder.
WORKDIR /data
VOLUME /data
ENV PATH=/opt/bespoke/bin:$PATH BESPOKE_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["bespoke"]
CMD ["serve"]
