"""What models behind an endpoint share: its address, its key, and the parameters that it takes."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Unpack
from urllib.parse import urlsplit

from judgelab.errors import UnreadyError
from judgelab.models.base import Common, Model, Rejected


class EndpointModel(Model):
    """The key is read from the environment variable `api_key_env`; null is for no key.

    Configs are kept in run folders, so an address with a user, a password or a query is refused.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str,
        base_url: str | None,
        api_key_env: str | None,
        parameters: Mapping[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        _refuse_secrets(base_url)
        super().__init__(name, endpoint=endpoint, parameters=parameters, **common)
        self.base_url = base_url
        self.api_key_env = api_key_env
        # What the endpoint does not take -> the name it takes it under, or None.
        self.rejected: dict[str, str | None] = {}

    def check(self) -> None:
        if not self.api_key_env:
            return
        if not self.key:
            raise UnreadyError(
                f"model {self.name!r} needs a key: set the environment variable "
                f"{self.api_key_env}, or model.api_key_env=null for a server without one."
            )
        if not (self.key.isascii() and self.key.isprintable()):
            raise UnreadyError(
                f"the environment variable {self.api_key_env} holds no key: there is a line break, "
                "a control character or a letter beyond ASCII in it. Set it to the key alone."
            )

    @property
    def line(self) -> Hashable:
        return (type(self), self.name, self.base_url, self.api_key_env, self.timeout)

    @property
    def key(self) -> str:
        return os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""

    def secrets(self) -> Iterable[str]:
        """What an error message must not say."""
        return (self.key,)

    def taken(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters that the endpoint takes, under its names."""
        if not self.rejected:
            return wanted
        found: dict[str, Any] = {}
        for key, value in wanted.items():
            name: str | None = key
            while name in self.rejected:
                name = self.rejected[name]
            if name is not None:
                found[name] = value
        return found

    def leave_out(self, rejected: Rejected) -> None:
        """Never send a parameter again, or only under the name that the endpoint asks for."""
        instead = rejected.instead if rejected.instead not in self.rejected else None
        self.rejected.setdefault(rejected.parameter, instead)


def _refuse_secrets(base_url: str | None) -> None:
    try:
        parts = urlsplit(base_url or "")
        odd = bool("@" in parts.netloc or parts.query or parts.fragment)
    except ValueError:  # an address that is none
        odd = "@" in (base_url or "")
    if odd:
        raise UnreadyError(
            "model.base_url holds a user, a password or a query, and configs are kept in run "
            "folders. Give the address alone and the key as an environment variable, which "
            "model.api_key_env names."
        )
