"""Credentials, region and endpoint of S3, found as by every AWS tool: environment, ~/.aws, roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Aws:
    """Access to S3: `credentials` are botocore's own (None: anonymous access) and must never be shown."""

    credentials: Any
    region: str
    endpoint: str | None

    def __repr__(self) -> str:
        return f"Aws({self.region}, {self.endpoint})"

    def keys(self) -> dict[str, Any]:
        """Returns the current keys in the form that obstore requests whenever its own are about to expire."""
        frozen = self.credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": getattr(self.credentials, "_expiry_time", None),
        }


def aws() -> Aws:
    """Returns the settings that botocore finds now: AWS_* variables, profiles, roles.

    `endpoint` is None for Amazon's own.
    """
    from botocore.session import Session

    session = Session()
    about = session.create_client("s3", region_name=session.get_config_variable("region") or "us-east-1").meta
    endpoint = (
        None if about.endpoint_url.endswith(("amazonaws.com", "amazonaws.com.cn")) else about.endpoint_url
    )
    return Aws(session.get_credentials(), about.region_name, endpoint)
