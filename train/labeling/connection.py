"""The way to a Label Studio server: where it is, the token, and one line for whatever goes wrong on the way.

Both kinds of token work: the legacy token and the personal access token, which the SDK refreshes by itself. A token comes from the environment, a
file that only its owner can read, or a prompt; never from the command line, where `ps` shows it, and it is never part of a message.
"""

from __future__ import annotations

import os
import random
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from train.errors import ConfigError, LabelStudioError, MissingExtra

if TYPE_CHECKING:
    import httpx
    from label_studio_sdk import LabelStudio

URL, TOKEN = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"
# Seconds before the second, third … try: enough for a restart behind a proxy, too short to look like a hang.
BACK_OFF = (0.5, 1.5, 4.0)
# What may go away by itself. 500 is among them: a server on SQLite answers so while another request writes.
_PASSING = {429, 500, 502, 503, 504}
_SHOWN = 200
T = TypeVar("T")


class Transient(LabelStudioError):
    """A fault that may go away by itself: no answer, or the server's own fault."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the server is and who asks.

    Attributes:
        url: without a slash at its end.
        token: legacy or personal access token.
    """

    url: str
    token: str = field(repr=False)


def find_credentials(url: str | None = None, token_file: Path | None = None) -> Credentials:
    """The server and the token, from the options, the environment or, on a terminal, a prompt.

    Raises:
        ConfigError: no server or no token is named, or a file that others can read holds it.
    """
    url = (url or os.environ.get(URL, "")).strip().rstrip("/")
    parts = urlsplit(url)
    if not url:
        raise ConfigError(f"no Label Studio server is named; set {URL}, or give --url http://HOST:8080")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ConfigError(
            "the address of Label Studio must look like http://HOST:8080, without a user, a token or a query"
        )
    token = _token_of(token_file) if token_file else os.environ.get(TOKEN, "").strip()
    if not token and sys.stdin.isatty():
        token = getpass(f"token for {url} (Account & Settings in Label Studio): ").strip()
    if not token:
        raise ConfigError(f"no token for {url}; set {TOKEN}, or give --token-file FILE")
    if not token.isascii() or any(c.isspace() for c in token):
        raise ConfigError(f"the token for {url} has spaces or letters no token has; copy it again")
    return Credentials(url, token)


def _token_of(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path}: cannot be read ({getattr(error, 'strerror', 'not text')})") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"--token-file {path}: other users may read it; type: chmod 600 {path}")
    if not text:
        raise ConfigError(f"--token-file {path}: is empty; put the token into it")
    return text


class Server:
    """A Label Studio server, asked through its SDK.

    Attributes:
        url: where it is.
    """

    def __init__(self, credentials: Credentials, timeout: float = 60.0) -> None:
        """Connects at the first call.

        Args:
            credentials: where and who.
            timeout: seconds to wait for one answer.

        Raises:
            MissingExtra: the SDK is not installed.
        """
        try:
            import label_studio_sdk  # noqa: F401 - a second to import, so not before it is needed
        except ModuleNotFoundError:
            raise MissingExtra("labelling with Label Studio", "label") from None
        self.url = credentials.url
        self._credentials = credentials
        self._timeout = timeout
        self._http: httpx.Client | None = None
        self._client: LabelStudio | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._http:
            self._http.close()

    def call(self, doing: str, ask: Callable[[LabelStudio], T], *, repeatable: bool = True) -> T:
        """Asks the server.

        Args:
            doing: what for, as the message names it.
            ask: the call; whatever it reads must be read inside.
            repeatable: whether asking twice does no harm, so that a passing fault is tried again after a while.

        Raises:
            Transient: no answer, or the server's own fault, also after the last try.
            LabelStudioError: the server refuses.
        """
        pauses = iter(BACK_OFF if repeatable else ())
        while True:
            try:
                return ask(self._connected())
            except Exception as error:
                fault = self._fault(error, doing)
                if fault is None:
                    raise
                pause = next(pauses, None) if isinstance(fault, Transient) else None
                if pause is None:
                    raise fault from None
            time.sleep(pause * random.uniform(0.8, 1.2))

    def _connected(self) -> LabelStudio:
        import httpx
        from label_studio_sdk import LabelStudio

        if self._http is None:
            self._http = httpx.Client(timeout=self._timeout, follow_redirects=True)
        if self._client is None:
            self._client = LabelStudio(
                base_url=self.url, api_key=self._credentials.token, httpx_client=self._http, max_retries=0
            )
        return self._client

    def _fault(self, error: Exception, doing: str) -> LabelStudioError | None:
        """The one line for an error of the SDK; None where the error is our own."""
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        if isinstance(error, httpx.TimeoutException):
            return Transient(
                f"{self.url}: no answer within {self._timeout:g} s while {doing}; type the command again, it goes on where it stopped"
            )
        if isinstance(error, httpx.TooManyRedirects):
            return LabelStudioError(f"{self.url}: redirects in circles while {doing}; is {URL} right?")
        if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
            reason = self._safe(str(error)) or type(error).__name__
            return Transient(
                f"{self.url}: Label Studio does not answer while {doing} ({reason}); is it running, is {URL} right?"
            )
        if isinstance(error, ApiError):
            return self._refusal(error.status_code or 0, error.body, doing)
        if isinstance(
            error, AttributeError | KeyError | TypeError | ValueError
        ):  # the SDK checks little of what it reads
            return self._stranger(doing)
        return None

    def _refusal(self, status: int, body: Any, doing: str) -> LabelStudioError:
        said = self._safe(_detail(body))
        because = f" ({said})" if said else ""
        if status == 401:
            return LabelStudioError(
                f"{self.url}: refuses the token{because}; make one under Account & Settings and put it in {TOKEN}"
            )
        if status == 403:
            return LabelStudioError(
                f"{self.url}: the token's user may not do this, {doing}{because}; ask the owner of the project"
            )
        if status == 404:
            return LabelStudioError(
                f"{self.url}: not found while {doing}{because}; was it deleted? `yaodian label init` makes the project"
            )
        if status in _PASSING:
            return Transient(f"{self.url}: Label Studio fails with {status} while {doing}{because}; see its log")
        if 200 <= status < 300 or not isinstance(body, dict | list):
            return self._stranger(doing)
        return LabelStudioError(f"{self.url}: refuses with {status} while {doing}{because}")

    def _stranger(self, doing: str) -> LabelStudioError:
        return LabelStudioError(f"{self.url}: does not answer as Label Studio does while {doing}; is {URL} right?")

    def _safe(self, text: str) -> str:
        """One short line without the token."""
        return " ".join(text.replace(self._credentials.token, "…").split())[:_SHOWN]


def _detail(body: Any) -> str:
    """What the server says in words; a page of HTML says nothing."""
    if isinstance(body, dict):
        said = body.get("validation_errors") or body.get("detail") or ""
        return str(said)
    return ""
