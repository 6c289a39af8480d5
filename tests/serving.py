"""The ML backend in a thread, and trainings that take no time."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from train.labeling.backend import create_app
from train.labeling.renewal import Renewal
from train.labeling.served import Served
from train.tagging import Tagger
from train.tagging import bundle as layout


def another_bundle(bundle: Path, folder: Path) -> Path:
    """The same network with other thresholds, hence another version."""
    shutil.copytree(bundle, folder)
    (folder / layout.THRESHOLDS).write_text(json.dumps({"roads": 0.9, "water": 0.9, "schools": 0.9}))
    layout.seal(folder, [p.name for p in folder.iterdir() if p.name != layout.DIGESTS])
    return folder


class Backend:
    """A server in a thread, and a client."""

    def __init__(
        self, bundle: Path, runs: Path, secret: str = "", retrain_after: int = 0, train: list[str] | None = None
    ) -> None:
        self.served = Served(Tagger.load(bundle))
        self.renewal = Renewal(
            self.served, runs, ["optim.epochs=1"], train or [sys.executable, "-c", "raise SystemExit(3)"]
        )
        app = create_app(self.served, self.renewal, secret, retrain_after)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        self.client = httpx.Client(
            base_url=self.url, timeout=60, headers={"Authorization": f"Bearer {secret}"} if secret else {}
        )
        while not self.server.started:
            time.sleep(0.01)

    def get(self, path: str) -> Any:
        return self.client.get(path).json()

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json=body).json()

    def close(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join()
        self.renewal.stop()
        self.socket.close()


def fake_training(folder: Path, source: Path, seconds: float = 0) -> list[str]:
    """A command that takes the arguments of `python -m train` and leaves a bundle in run.dir."""
    script = folder / "train_it.py"
    code = f"""
        import json, shutil, sys, time
        settings = dict(a.split("=", 1) for a in sys.argv[1:])
        json.dump(settings, open({str(folder / "settings.json")!r}, "w"))
        time.sleep({seconds})
        shutil.copytree({str(source)!r}, settings["run.dir"].strip("'"))
    """
    script.write_text(textwrap.dedent(code))
    return [sys.executable, str(script)]
