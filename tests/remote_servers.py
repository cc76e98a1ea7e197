"""Real servers on loopback for tests of remote files: S3 (moto), and HTTP that can be made to fail."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ports import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTESTTEST", "AWS_SECRET_ACCESS_KEY": "verysecretkey"}


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a server process."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-c",
        "from moto.server import main; main()",
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(endpoint, process)
            yield endpoint
        finally:
            process.terminate()


def _wait(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(3000):
        try:
            urllib.request.urlopen(endpoint, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError("the S3 server did not start")


class Web:
    """A web server of a directory; answers go wrong as its attributes say.

    `fail` holds status codes for the next requests (with `fail_head` also for those of headers). The next
    `cuts` bodies end after `cut` bytes; with `lie` that is the length they announce, too.
    """

    def __init__(self, root: Path) -> None:
        self.fail: list[int] = []
        self.fail_head = False
        self.cut: int | None = None
        self.cuts = 10**9
        self.lie = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, directory=str(root)))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, web: Web, *args, **kwargs) -> None:
        self.web = web
        super().__init__(*args, **kwargs)

    def log_message(self, *args) -> None:
        pass

    def _fail(self) -> None:
        self.send_response(self.web.fail.pop(0))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        if self.web.fail_head and self.web.fail:
            self._fail()
        else:
            super().do_HEAD()

    def do_GET(self) -> None:
        if self.web.fail:
            self._fail()
            return
        path = Path(self.translate_path(self.path))
        if self.web.cut is None or not path.is_file() or self.web.cuts <= 0:
            super().do_GET()
            return
        self.web.cuts -= 1
        content = path.read_bytes()
        sent = content[: self.web.cut]
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent) if self.web.lie else len(content)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = True
