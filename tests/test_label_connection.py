"""Tokens stay secret, and a server that is down, slow or refuses is one line; the servers here are made up, the faults are not."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from train import cli
from train.errors import ConfigError, LabelStudioError
from train.labeling import connection
from train.labeling.connection import Credentials, Server, Transient, find_credentials

TOKEN = "0123456789abcdef0123456789abcdef01234567"
Answer = tuple[int, str]
HALF = '{"id": 1, "ti'  # what arrives of a longer answer


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    monkeypatch.setattr(connection, "BACK_OFF", (0.01, 0.01))


@pytest.fixture
def serving() -> Iterator[Callable[[list[Answer]], str]]:
    """Starts a server that gives these answers one after another, the last for ever; a status of 0 is no answer for a second."""
    servers = []

    def start(answers: list[Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                if not status:
                    time.sleep(1)
                    return
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if body[:1] in "[{" else "text/html")
                if status == 302:
                    self.send_header("Location", body)
                if body == HALF:
                    self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.do_GET()

            def do_PATCH(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(url: str, timeout: float = 5, *, repeatable: bool = True) -> str:
    pytest.importorskip("label_studio_sdk")
    with Server(Credentials(url, TOKEN), timeout) as server:
        return str(server.call("reading project 1", lambda c: c.projects.get(1).title, repeatable=repeatable))


def said(body: str) -> str:
    return json.dumps({"detail": body})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, said("Invalid token.")), "refuses the token (Invalid token.); make one under Account & Settings and put it in LABEL_STUDIO_API_KEY"),
        ((401, said(f"token {TOKEN} is unknown")), "refuses the token (token … is unknown); make one"),
        ((403, said("No permission.")), "the token's user may not do this, reading project 1 (No permission.); ask the owner of the project"),
        ((404, said("No Project.")), "not found while reading project 1 (No Project.); was it deleted? `yaodian label init` makes the project"),
        ((500, said("boom")), "Label Studio fails with 500 while reading project 1 (boom); see its log"),
        ((502, "<html>bad gateway</html>"), "Label Studio fails with 502 while reading project 1; see its log"),
        ((200, "<html>welcome</html>"), "does not answer as Label Studio does while reading project 1; is LABEL_STUDIO_URL right?"),
        ((418, "<html>tea</html>"), "does not answer as Label Studio does while reading project 1"),
        ((400, json.dumps({"detail": "x", "validation_errors": {"title": ["too long"]}})), "refuses with 400 while reading project 1 ({'title': ['too long']})"),
        ((0, ""), "no answer within 0.3 s while reading project 1; type the command again, it goes on where it stopped"),
    ],
)  # fmt: skip
def test_what_a_server_refuses_is_one_line_without_the_token(
    serving: Callable[[list[Answer]], str], answer: Answer, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = serving([answer])
    with pytest.raises(LabelStudioError) as stop:
        ask(url, 0.3)
    assert str(stop.value).startswith(f"{url}: {message}")
    assert "\n" not in str(stop.value)
    assert TOKEN not in str(stop.value) + caplog.text
    assert stop.value.__cause__ is None


def test_a_server_that_is_down_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        LabelStudioError,
        match=r"^http://127.0.0.1:9: Label Studio does not answer while reading project 1 \(\[Errno 111\] Connection refused\); is it running",
    ):
        ask("http://127.0.0.1:9")  # fmt: skip


GARBAGE: list[tuple[Answer, str]] = [
    ((200, "<html>sign in</html>"), "does not answer as Label Studio does while {}; is LABEL_STUDIO_URL right?"),
    ((200, '{"id": 1,'), "does not answer as Label Studio does while {}; is LABEL_STUDIO_URL right?"),
    ((200, '["gateway"]'), "does not answer as Label Studio does while {}; is LABEL_STUDIO_URL right?"),
    ((200, "{}"), "does not answer as Label Studio does while {}; is LABEL_STUDIO_URL right?"),
    ((200, '{"count": 0, "results": 3}'), "does not answer as Label Studio does while {}; is LABEL_STUDIO_URL right?"),
    ((302, "/user/login/"), "redirects in circles while {}; is LABEL_STUDIO_URL right?"),
    ((200, HALF), "Label Studio does not answer while {} (peer closed connection without sending complete message body"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "message"), GARBAGE)
@pytest.mark.parametrize(
    ("arguments", "doing"),
    [
        (["init"], "listing projects"),
        (["push", "rows.jsonl", "--no-prelabels"], "listing projects"),
        (["pull", "-o", "l.jsonl"], "listing projects"),
        (["agreement"], "listing projects"),
        (["pull", "-o", "l.jsonl", "--project", "1"], "reading project 1"),
    ],
)
def test_what_is_no_label_studio_is_one_line_and_writes_nothing(
    serving: Callable[[list[Answer]], str],
    answer: Answer,
    message: str,
    arguments: list[str],
    doing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("label_studio_sdk")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"plan": "p", "text": "修路"}\n', encoding="utf-8")
    url = serving([answer])
    monkeypatch.setenv("LABEL_STUDIO_URL", url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    monkeypatch.setattr(sys, "argv", ["yaodian", "label", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1), error
    assert error.startswith(f"{url}: {message.format(doing)}")
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize(("answer", "message"), GARBAGE)
def test_a_personal_token_that_cannot_be_refreshed_is_one_line(
    serving: Callable[[list[Answer]], str], answer: Answer, message: str
) -> None:
    pytest.importorskip("label_studio_sdk")
    head, body = ({"alg": "HS256", "typ": "JWT"}, {"token_type": "refresh", "exp": 4_000_000_000})
    token = ".".join(base64.urlsafe_b64encode(t).decode().rstrip("=") for t in (*(json.dumps(p).encode() for p in (head, body)), b"x" * 32))  # fmt: skip
    url = serving([answer])
    with Server(Credentials(url, token)) as server, pytest.raises(LabelStudioError) as stop:
        server.call("reading project 1", lambda c: c.projects.get(1).title)
    assert str(stop.value).startswith(f"{url}: {message.format('reading project 1')}")
    assert token not in str(stop.value)


def test_a_server_that_takes_a_connection_and_says_nothing_is_told() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(
            LabelStudioError, match=r"no answer within 0.2 s while reading project 1; type the command again"
        ),
    ):
        ask(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.2)


def test_a_passing_fault_is_tried_again_and_a_refusal_is_not(serving: Callable[[list[Answer]], str]) -> None:
    good = (200, json.dumps({"id": 1, "title": "要点"}))
    assert ask(serving([(503, ""), (500, said("locked")), good])) == "要点"
    assert ask(serving([(0, ""), good]), 0.3) == "要点"
    with pytest.raises(LabelStudioError, match="refuses the token"):
        ask(serving([(401, said("x")), good]))


def test_what_must_not_happen_twice_is_not_tried_again(serving: Callable[[list[Answer]], str]) -> None:
    with pytest.raises(Transient, match="fails with 503"):
        ask(serving([(503, ""), (200, json.dumps({"id": 1, "title": "要点"}))]), repeatable=False)


def test_an_error_of_our_own_is_not_taken_for_the_servers(serving: Callable[[list[Answer]], str]) -> None:
    pytest.importorskip("label_studio_sdk")
    with Server(Credentials(serving([(200, "{}")]), TOKEN)) as server, pytest.raises(ZeroDivisionError):
        server.call("x", lambda _: 1 / 0)


def test_the_token_comes_from_the_environment_a_file_or_a_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://localhost:8080"
    monkeypatch.setenv("LABEL_STUDIO_URL", f" {url}/ ")
    with pytest.raises(ConfigError, match=f"no token for {url}; set LABEL_STUDIO_API_KEY, or give --token-file FILE"):
        find_credentials()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(connection, "getpass", lambda prompt: TOKEN if url in prompt else "")
    assert find_credentials() == Credentials(url, TOKEN)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", f"{TOKEN}\n")
    assert find_credentials("https://other/ls") == Credentials("https://other/ls", TOKEN)
    file = tmp_path / "token"
    file.write_text("abc\n")
    file.chmod(0o600)
    assert find_credentials(token_file=file).token == "abc"
    assert TOKEN not in repr(find_credentials())


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://a", "http://", "http://me:pass@a", "http://a?token=abc"])
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"must look like http://HOST:8080, without a user, a token or a query$"
    ) as stop:
        find_credentials(url)
    assert "pass" not in str(stop.value)
    assert "abc" not in str(stop.value)


def test_no_address_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"no Label Studio server is named; set LABEL_STUDIO_URL, or give --url http://HOST:8080"
    ):
        find_credentials()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_token_files_that_others_can_read_or_that_hold_none_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    for content, mode, message in (
        (TOKEN, 0o640, f"other users may read it; type: chmod 600 {file}"),
        (" \n", 0o600, "is empty; put the token into it"),
        ("two words", 0o600, "the token for http://a has spaces or letters no token has; copy it again"),
    ):
        file.write_text(content)
        file.chmod(mode)
        with pytest.raises(ConfigError) as stop:
            find_credentials("http://a", file)
        assert message in str(stop.value)
        assert "two words" not in str(stop.value)
    with pytest.raises(ConfigError, match=r"none: cannot be read \(No such file or directory\)"):
        find_credentials("http://a", tmp_path / "none")


def test_the_sdk_that_is_missing_is_named_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://a")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    monkeypatch.setitem(sys.modules, "label_studio_sdk", None)
    monkeypatch.setattr(sys, "argv", ["yaodian", "label", "init"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert (
        capsys.readouterr().err
        == "labelling with Label Studio: packages are not installed; type: pip install 'yaodian[label]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["label"], "Missing command. See `yaodian label --help`."),
        (["label", "pull", "-o", "a.jsonl", "--merge", "mean"], "--merge is one of majority, adjudicator, all, not 'mean'"),
        (["label", "pull", "-o", "a.jsonl", "--adjudicator", "li@example.com"],
         "--adjudicator li@example.com decides nothing with --merge majority; add --merge adjudicator"),
        (["label", "push", "none.txt"], "none.txt: no such file or folder"),
        (["label", "pull"], "Missing option '-o' / '--output'. See `yaodian label pull --help`."),
        (["label", "init", "--token", TOKEN], "No such option: --token"),
    ],
)  # fmt: skip
def test_slips_of_the_keyboard_are_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["yaodian", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert error.count("\n") == 1
    assert TOKEN not in error
