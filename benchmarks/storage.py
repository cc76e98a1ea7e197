"""Many small objects of a bucket, listed and read into the cache, against a plain fsspec loop.

    python benchmarks/storage.py             10,000 objects of 128 KiB, of moto 1,000 (2 minutes)
    python benchmarks/storage.py --quick     200 objects

Two servers on this machine: moto speaks S3 in full but answers some 250 requests a second, whoever asks;
nginx, if it is installed, answers for the same files, and with a listing that was written before, so fast
that the client decides. The plain loop lists and reads one object after the other by s3fs, at most 1,000 of
them, and keeps nothing; ours checks sizes and keeps a copy with a checksum of each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import numpy as np
from rich.console import Console
from rich.table import Table

from ucf_vit.data.storage import Cache, Files, join
from ucf_vit.data.storage.scratch import Scratch

BUCKET, FOLDER, SIZE = "objects", "small", 2**17
PLAIN = 1000
CONCURRENCY = (1, 8, 32)
KEYS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
}
Row = tuple[str, str, float]
"""Server, reader, objects a second."""


def measure(count: int) -> list[Row]:
    """All figures of one run."""
    os.environ.update(KEYS)
    with tempfile.TemporaryDirectory() as folder:
        names = write(Path(folder), count)
        rows = []
        with moto() as endpoint:
            os.environ["AWS_ENDPOINT_URL"] = endpoint
            upload(endpoint, Path(folder), names[: count // 10])
            rows += readers("moto", count // 10, Path(folder))
        if shutil.which("nginx"):
            with nginx(Path(folder), names) as endpoint:
                os.environ["AWS_ENDPOINT_URL"] = endpoint
                rows += readers("nginx", count, Path(folder))
        return rows


def readers(server: str, count: int, folder: Path) -> list[Row]:
    """The plain loop, and ours with more and more requests at a time."""
    rows = [(server, "s3fs, one by one", plain())]
    for concurrency in CONCURRENCY:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            rows.append((server, f"ucf_vit, {concurrency} at a time", ours(count, concurrency, Path(cache))))
    return rows


def plain() -> float:
    """Objects a second of a loop over an fsspec file system."""
    import s3fs

    begin = time.perf_counter()
    system = s3fs.S3FileSystem(skip_instance_cache=True)
    sizes = [len(system.cat_file(path)) for path in system.ls(f"{BUCKET}/{FOLDER}")[:PLAIN]]
    if set(sizes) != {SIZE}:
        raise RuntimeError("the plain loop got other sizes")
    return len(sizes) / (time.perf_counter() - begin)


def ours(count: int, concurrency: int, cache: Path) -> float:
    """Objects a second into an empty cache."""
    root = f"s3://{BUCKET}/{FOLDER}"
    begin = time.perf_counter()
    files = Files(Cache(Scratch(cache)))
    found = files.fetch([join(root, name) for name in files.names(root)], concurrency)
    seconds = time.perf_counter() - begin
    if len(found) != count or any(
        not isinstance(path, Path) or path.stat().st_size != SIZE for path in found
    ):
        raise RuntimeError("not all objects are there")
    return count / seconds


def write(folder: Path, count: int) -> list[str]:
    """Objects of noise, each another."""
    target = folder / BUCKET / FOLDER
    target.mkdir(parents=True)
    noise = np.random.default_rng(0)
    names = [f"object{number:05}.bin" for number in range(count)]
    for name in names:
        (target / name).write_bytes(noise.bytes(SIZE))
    return names


def upload(endpoint: str, folder: Path, names: list[str]) -> None:
    """Into the bucket of an S3 server."""
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=BUCKET)

    def one(name: str) -> None:
        client.upload_file(str(folder / BUCKET / FOLDER / name), BUCKET, f"{FOLDER}/{name}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, names))


@contextmanager
def moto() -> Iterator[str]:
    """An S3 server."""
    port = free_port()
    code = "from moto.server import main; main()"
    with serving([sys.executable, "-c", code, "-H", "127.0.0.1", "-p", str(port)], port) as endpoint:
        yield endpoint


@contextmanager
def nginx(folder: Path, names: list[str]) -> Iterator[str]:
    """A web server of the files in `folder`, which gives the same listing whatever is asked of the bucket."""
    found = ((name, (folder / BUCKET / FOLDER / name).stat()) for name in names)
    keys = (
        f"<Contents><Key>{FOLDER}/{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{int(stat.st_mtime):x}-{stat.st_size:x}&quot;</ETag><Size>{stat.st_size}</Size></Contents>"
        for name, stat in found
    )
    about = f"<Name>{BUCKET}</Name><Prefix>{FOLDER}/</Prefix><IsTruncated>false</IsTruncated>"
    (folder / "list.xml").write_text(f"<ListBucketResult>{about}{''.join(keys)}</ListBucketResult>")
    port = free_port()
    config = folder / "nginx.conf"
    root = "user root;" if os.getuid() == 0 else ""
    config.write_text(
        f"{root} worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 256; }\n"
        f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {folder};\n"
        f"location ~ ^/{BUCKET}/?$ {{ default_type application/xml; alias {folder}/list.xml; }} }} }}\n"
    )
    with serving(["nginx", "-c", str(config), "-p", str(folder)], port) as endpoint:
        yield endpoint


@contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    """The endpoint of a server process that is ready."""
    endpoint = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(endpoint, timeout=5).close()
                except urllib.error.HTTPError:
                    break
                except OSError:
                    time.sleep(0.1)
                else:
                    break
            yield endpoint
        finally:
            process.terminate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def show(rows: list[Row]) -> None:
    """A table with each row's ratio to the plain loop at the same server."""
    table = Table(title=f"Objects of {SIZE // 1024} KiB a second")
    for column in ("server", "reader", "objects/s", "MiB/s", "ratio"):
        table.add_column(column, justify="left" if column in ("server", "reader") else "right")
    for server, reader, rate in rows:
        base = next(other for name, _, other in rows if name == server)
        table.add_row(server, reader, f"{rate:.0f}", f"{rate * SIZE / 2**20:.0f}", f"{rate / base:.1f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200 objects")
    show(measure(200 if parser.parse_args().quick else 10_000))
