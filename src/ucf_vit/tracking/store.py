"""MLflow's store of a run: an SQLite file or a server, and whether credentials may be sent to it."""

from __future__ import annotations

import ipaddress
import netrc
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.urls import HIDDEN, is_remote, scheme, without_credentials

DATABASE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
"""The default SQLite file beside the directory of a run, and the folder of the files that it refers to."""
SECRETS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_USERNAME")
"""Variables with credentials that MLflow sends to a server."""
OTHERS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")
"""Variables that make MLflow find credentials elsewhere."""


@dataclass(frozen=True)
class Store:
    """The store at `place`: the URL of a server, or the path of an SQLite file."""

    place: str

    @classmethod
    def of(cls, place: str, directory: Path) -> Store:
        """Returns the store that `tracking.store` names, by default that beside the directory of the run."""
        return cls(place or str(directory.absolute().parent / DATABASE))

    @property
    def is_server(self) -> bool:
        """Whether the store is a server."""
        return is_remote(self.place)

    @property
    def uri(self) -> str:
        """The store's name as MLflow has it."""
        return self.place if self.is_server else f"sqlite:///{Path(self.place).absolute()}"

    @property
    def artifacts(self) -> str | None:
        """Where files of new experiments go; None if a server decides."""
        return None if self.is_server else (Path(self.place).absolute().parent / ARTIFACTS).as_uri()

    def check(self, plain_http: bool) -> None:
        """Raises UserError if credentials would go over plain http to another machine, unless `plain_http`.

        They would if there are any for this host, wherever MLflow finds them.
        """
        if plain_http or scheme(self.place) != "http" or is_loopback(self.place):
            return
        if found := _credentials(urlsplit(self.place).hostname or ""):
            raise UserError(
                f"credentials for MLflow ({found}) would go to {self.place} unencrypted; use https://, or "
                "send them in spite of that with tracking.plain_http=true"
            )


def store_of(run: Run) -> Store:
    """Returns the store of a run."""
    return Store.of(run.tracking.store, Path(run.trainer.checkpoint_path))


def is_loopback(url: str) -> bool:
    """Returns whether a URL is that of this machine, so that nothing sent to it crosses a network."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def redacted(text: object) -> str:
    """Returns a message without the credentials in the environment or in URLs."""
    shown = without_credentials(str(text))
    for secret in filter(None, (os.environ.get(name) for name in SECRETS[:2])):
        shown = shown.replace(secret, HIDDEN)
    return shown


def _credentials(host: str) -> str:
    """Returns where there are credentials for a host, empty if nowhere."""
    for name in (*SECRETS, *OTHERS):
        if os.environ.get(name):
            return name
    if (Path.home() / ".mlflow" / "credentials").exists():
        return "~/.mlflow/credentials"
    file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    with suppress(OSError, netrc.NetrcParseError):
        if netrc.netrc(str(file)).authenticators(host):
            return str(file)
    return ""
