#!/bin/sh
# Finds Python and hands over to install.py.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 2
for python in python@PYTHON@ python3 python; do
  if "$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '@PYTHON@')" 2>/dev/null; then
    exec "$python" -I "$here/install.py"
  fi
done
echo "没有找到 Python @PYTHON@,请看 README.txt。 Python @PYTHON@ was not found; see README.txt." >&2
exit 2
