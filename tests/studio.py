"""A real Label Studio for tests: its server, its users, and what annotators do there."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from label_studio_sdk import LabelStudio

from train.labeling.connection import Credentials, Server
from train.labeling.project import Project, init_project
from train.labeling.tasks import choice_result
from train.taxonomy import Taxonomy

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "labelstudio"


@dataclass(frozen=True)
class Studio:
    """A running server and the two tokens of its first user, admin@example.com."""

    folder: Path
    url: str
    token: str = field(repr=False)
    refresh: str = field(repr=False)

    @classmethod
    def start(cls, folder: Path) -> Studio:
        subprocess.run([sys.executable, SCRIPT, "start", "--into", folder], check=True, stdout=subprocess.DEVNULL)
        return cls.running(folder)

    @classmethod
    def running(cls, folder: Path) -> Studio:
        return cls(folder, *((folder / name).read_text() for name in ("url", "token", "refresh")))

    def close(self) -> None:
        self.http.close()
        self.server.__exit__()

    def stop(self) -> None:
        subprocess.run([sys.executable, SCRIPT, "stop", "--into", self.folder], check=True)

    def kill(self) -> None:
        """The power fails."""
        os.killpg(int((self.folder / "pid").read_text()), signal.SIGKILL)

    def revive(self) -> None:
        """Starts it again with what is on its disk."""
        Studio.start(self.folder)

    @cached_property
    def http(self) -> httpx.Client:
        return httpx.Client(timeout=60)

    @cached_property
    def client(self) -> LabelStudio:
        return LabelStudio(base_url=self.url, api_key=self.token, httpx_client=self.http)

    @cached_property
    def server(self) -> Server:
        return Server(Credentials(self.url, self.refresh))

    def project(self, taxonomy: Taxonomy) -> Project:
        """A new project."""
        return init_project(self.server, f"试验 {secrets.token_hex(4)}", taxonomy, None)[0]

    def tasks(self, project: Project) -> dict[str, Any]:
        """Tasks by the text of their item; of doubles the last."""
        return {t.data["text"]: t for t in self.client.tasks.list(project=project.id, fields="all")}

    def browse(self, project: Project, task: int, picture: Path, *captions: str) -> dict[str, Any]:
        """An annotator opens a task in a browser, ticks captions and submits; what was seen."""
        python = SCRIPT.parent.parent / ".labelstudio" / "venv" / "bin" / "python"
        where = [self.url, "admin@example.com", str(project.id), str(task), str(picture)]
        line = [str(python), str(Path(__file__).with_name("browsing.py")), *where, *captions]
        password = (self.folder / "password").read_text()
        done = subprocess.run(line, input=password, check=True, stdout=subprocess.PIPE, text=True, timeout=280)
        return dict(json.loads(done.stdout))

    def annotator(self, email: str) -> LabelStudio:
        """A further user, invited by the first, who signs up."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        invite = urllib.request.Request(f"{self.url}/api/invite", headers={"Authorization": f"Token {self.token}"})
        with urllib.request.urlopen(invite) as answer:
            page = self.url + json.load(answer)["invite_url"]
        with browser.open(page) as answer:
            csrf = re.search(r'csrfmiddlewaretoken" value="(\w+)"', answer.read().decode())
        assert csrf
        form = {"csrfmiddlewaretoken": csrf[1], "email": email, "password": secrets.token_urlsafe(12)}
        with browser.open(urllib.request.Request(page, urllib.parse.urlencode(form).encode(), {"Referer": page})):
            pass
        with browser.open(f"{self.url}/api/current-user/token") as answer:
            return LabelStudio(base_url=self.url, api_key=json.load(answer)["token"], httpx_client=self.http)


def annotate(
    client: LabelStudio, task: int, labels: Sequence[str], taxonomy: Taxonomy, comment: str = "", **extra: Any
) -> None:
    """What the Submit button does."""
    result: list[Mapping[str, Any]] = [choice_result(labels, taxonomy)]
    if comment:
        value = {"text": [comment]}
        result.append({"from_name": "comment", "to_name": "item", "type": "textarea", "value": value})
    client.annotations.create(id=task, result=result, **extra)
