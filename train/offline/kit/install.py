# ruff: noqa: S603
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Installs yaodian from the folder this file lies in: no network, no admin rights.

Copied into the folder as it is. It needs the standard library only, and on an older Python it still says which one it needs.
"""

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENV = HERE / "env"
SUMS = "SHA256SUMS"


def give_up(zh, en):
    """Ends with exit code 2 and one line."""
    print(zh + " " + en, file=sys.stderr)
    sys.exit(2)


def check_machine(kit):
    """The Python and the libraries that the wheels were chosen for."""
    here = ".".join(map(str, sys.version_info[:2]))
    if here != kit["python"]:
        give_up(
            f"需要 Python {kit['python']},这里是 {here}。",
            f"Python {kit['python']} is needed, this is {here}.",
        )
    if sys.maxsize < 2**32:
        give_up("需要 64 位的 Python。", "A 64-bit Python is needed.")
    system = {"win": "win32", "many": "linux", "macosx": "darwin"}
    wanted = next(name for start, name in system.items() if kit["platform"].startswith(start))
    if sys.platform != wanted:
        give_up(
            f"这个文件夹是为 {kit['platform']} 准备的。",
            f"This folder is for {kit['platform']}.",
        )
    if sys.platform == "win32":
        try:
            ctypes.CDLL("msvcp140.dll")
        except OSError:
            give_up(
                "缺少 Microsoft Visual C++ 2015-2022 运行库(x64),请联系管理员安装。",
                "The Microsoft Visual C++ 2015-2022 runtime (x64) is missing; ask your administrator for it.",
            )


def sha256(path):
    """Of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_files():
    """Every file against its checksum."""
    lines = (HERE / SUMS).read_text(encoding="utf-8").splitlines()
    bad = []
    for line in lines:
        digest, name = line.split("  ", 1)
        path = HERE / name
        # The sample plan is there to be deleted and replaced.
        if not name.startswith("plans/") and not (path.is_file() and sha256(path) == digest):
            bad.append(name)
    if bad:
        give_up(
            f"文件缺失或已损坏:{'、'.join(bad[:5])};请重新复制整个文件夹。",
            f"Missing or damaged: {', '.join(bad[:5])}; copy the whole folder again.",
        )
    print(f"{len(lines)} 个文件校验无误。 {len(lines)} files checked.")


def make_environment(wheel):
    """A fresh `env` with yaodian in it."""
    shutil.rmtree(str(ENV), ignore_errors=True)
    settings = {k: v for k, v in os.environ.items() if not k.upper().startswith(("PIP_", "PYTHON"))}
    settings["PIP_CONFIG_FILE"] = os.devnull
    try:
        subprocess.run([sys.executable, "-m", "venv", str(ENV)], check=True, env=settings)
    except (OSError, subprocess.CalledProcessError):
        give_up(
            "无法建立 env(文件夹是否只读?Debian、Ubuntu 需要 python3-venv)。",
            "The environment env cannot be made (a read-only folder? Debian and Ubuntu need python3-venv).",
        )
    # Not compiled: what is never imported would take 65 MB more; the rest is compiled by the first run below.
    python = ENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [
        "install",
        "--no-index",
        "--no-compile",
        "--find-links",
        str(HERE / "wheels"),
        str(HERE / "wheels" / wheel),
    ]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    if subprocess.run([str(python), "-m", "pip", *install, *quiet], env=settings).returncode:
        give_up("安装失败,原因见上。", "The installation failed; the reason is above.")
    return python, settings


def try_sample(python, settings):
    """Tags the plans that lie in the folder."""
    arguments = ["tag", str(HERE / "plans"), "-o", str(HERE / "tagged.xlsx"), "--model", str(HERE / "bundle")]
    if subprocess.run([str(python), "-m", "train.cli", *arguments], env=settings).returncode:
        give_up("已安装,但试标样例失败,原因见上。", "Installed, but tagging the sample failed; the reason is above.")


def main():
    """Checks, installs, tries."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a redirected console may know no Chinese
    try:
        kit = json.loads((HERE / "kit.json").read_text(encoding="utf-8"))
        check_machine(kit)
        check_files()
        print("正在安装,请稍候…… Installing, please wait…", flush=True)
        python, settings = make_environment(kit["wheel"])
        try_sample(python, settings)
    except OSError as error:
        give_up(f"无法读写文件:{error}", "A file cannot be read or written.")
    print("安装完成,样例的结果在 tagged.xlsx。 Done; the sample's result is in tagged.xlsx.")


if __name__ == "__main__":
    main()
