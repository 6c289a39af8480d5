"""`yaodian serve`: the five endpoints by which Label Studio asks a model for predictions and tells it to retrain.

GET  /health     within 1 s      is it there
POST /setup      within 3 s      can it answer this interface; which version is it
POST /predict    within 100 s    one prediction for each task, in order
POST /webhook    within 1 s      ANNOTATION_CREATED is counted, START_TRAINING retrains
GET  /versions                   what was served so far
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from train.errors import ConfigError, MissingExtra
from train.labeling.project import choices_of
from train.labeling.renewal import Renewal, remembered
from train.labeling.served import Served
from train.labeling.tasks import CHOICES, ITEM, Json
from train.tagging import Tagger
from train.taxonomy import NONE

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

SECRET = "YAODIAN_SERVE_SECRET"  # noqa: S105 - the name of the variable
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Collected:
    """Annotations that were made since the last retraining began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.n = 0

    def add(self, enough: int) -> bool:
        """Counts one; whether there are enough now, upon which counting begins anew."""
        with self._lock:
            self.n += 1
            if not enough or self.n < enough:
                return False
            self.n = 0
            return True

    def clear(self) -> None:
        """Begins anew."""
        with self._lock:
            self.n = 0


class Endpoints:
    """What the server answers; FastAPI reads the signatures."""

    def __init__(self, served: Served, renewal: Renewal, retrain_after: int) -> None:
        self._served, self._renewal, self._retrain_after = served, renewal, retrain_after
        self._collected = Collected()

    async def health(self) -> Json:
        """Whether it is there, and how retraining goes."""
        return {
            "status": "UP",
            "model_class": "yaodian",
            "model_version": self._served.versions[-1],
            "annotations": self._collected.n,
            "retraining": self._renewal.state,
        }

    async def setup(self, body: Json) -> Json:
        """The version, to a project whose interface the model can answer."""
        offered = choices_of(str(body.get("schema") or "")) or ()
        if missing := [k for k in [*self._served.tagger.bundle.taxonomy.keys, NONE] if k not in offered]:
            _refuse(
                f"the interface offers no {', '.join(missing)} under `{CHOICES}` for `{ITEM}`; run `yaodian label init`"
            )
        return {"model_version": self._served.versions[-1]}

    def predict(self, body: Json) -> Json:
        """Predictions; no coroutine, so that it runs in a thread and the others answer meanwhile."""
        tasks = body.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(t, dict) for t in tasks):
            _refuse("expected a list `tasks`")
        results = self._served.predict(tasks)
        version = results[0]["model_version"] if results else self._served.versions[-1]
        return {"results": results, "model_version": version}

    async def webhook(self, body: Json) -> Json:
        """Counts annotations and begins to retrain."""
        action, project = body.get("action"), body.get("project")
        number = project.get("id") if isinstance(project, dict) else None
        enough = action == "ANNOTATION_CREATED" and self._collected.add(self._retrain_after)
        if action != "START_TRAINING" and not enough:
            return {"status": "noted"}
        if not isinstance(number, int):
            _refuse("expected `project.id`")
        if not self._renewal.start(number):
            return {"status": "running"}
        self._collected.clear()
        return {"status": "started"}

    async def versions(self) -> Json:
        """What was served so far, the current one first."""
        return {"versions": self._served.versions[::-1]}


def _refuse(why: str) -> NoReturn:
    from fastapi import HTTPException

    raise HTTPException(400, why)


def create_app(served: Served, renewal: Renewal, secret: str = "", retrain_after: int = 0) -> FastAPI:
    """The application.

    Args:
        served: answers.
        renewal: retrains.
        secret: what callers must show, as the password of Basic authentication or as a bearer token; "" for none.
        retrain_after: retrain by itself after so many new annotations; 0 for never.
    """
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

    app, endpoints = FastAPI(title="yaodian", openapi_url=None), Endpoints(served, renewal, retrain_after)

    @app.middleware("http")
    async def guard(request: Request, go_on: Any) -> Any:
        if secret and request.url.path not in ("/", "/health") and not _shows(request, secret):
            return JSONResponse({"detail": "the shared secret is missing or wrong"}, 401)
        return await go_on(request)

    for path, method, answer in (
        ("/", "GET", endpoints.health),
        ("/health", "GET", endpoints.health),
        ("/setup", "POST", endpoints.setup),
        ("/predict", "POST", endpoints.predict),
        ("/webhook", "POST", endpoints.webhook),
        ("/versions", "GET", endpoints.versions),
    ):
        app.add_api_route(path, answer, methods=[method], response_model=None)
    return app


def _shows(request: Request, secret: str) -> bool:
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(shown.encode(), secret.encode())


def serve(host: str, port: int, model: Path | None, runs: Path, overrides: list[str], retrain_after: int) -> None:
    """Serves until it is stopped.

    Raises:
        YaodianError: no bundle, a port that is taken, or an address others can reach without a secret.
        MissingExtra: FastAPI or uvicorn is not installed.
    """
    try:
        import fastapi  # noqa: F401 - used in `create_app`
        import uvicorn
    except ModuleNotFoundError:
        raise MissingExtra("serving a model to Label Studio", "serve") from None
    secret = os.environ.get(SECRET, "")
    if host not in _LOOPBACK and not secret:
        raise ConfigError(f"--host {host}: other machines could reach it; set {SECRET} to a secret that they must show")
    with _listen(host, port) as listening:
        served = Served(Tagger.load(model or remembered(runs)))
        renewal = Renewal(served, runs, overrides)
        app = create_app(served, renewal, secret, retrain_after)
        address = f"http://{host}:{listening.getsockname()[1]}"
        print(
            f"version {served.versions[-1]} at {address}; connect it in Label Studio under Settings, Model",
            file=sys.stderr,
        )
        # uvicorn raises the signal again once it has shut down, whose default would leave a retraining behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])
        finally:
            renewal.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
        # asyncio lets small answers leave at once (TCP_NODELAY) only where a socket names its protocol: 52 ms a request became 8.
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=listening.detach())
    except OSError as error:
        number = error.errno or 0  # of the names service it is negative
        why = os.strerror(number) if number > 0 else error.strerror
        raise ConfigError(f"--host {host} --port {port}: cannot be listened on ({why}); choose another port") from None
