#!/bin/sh
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 2
if [ ! -x "$here/env/bin/python" ]; then
  echo "还没有安装,请先运行 install.sh。 Not installed yet: run install.sh first." >&2
  exit 2
fi
exec "$here/env/bin/python" -m train.cli tag "$here/plans" -o "$here/tagged.xlsx" --model "$here/bundle"
