@echo off
rem ASCII only: cmd reads this file in the code page of the machine, whichever that is.
setlocal
set "PY="
py -@PYTHON@ -c "pass" >nul 2>nul && set "PY=py -@PYTHON@"
if not defined PY python -c "import sys; sys.exit('%%d.%%d' %% sys.version_info[:2] != '@PYTHON@')" >nul 2>nul && set "PY=python"
if not defined PY (
  echo Python @PYTHON@ was not found. Please read README.txt.
  pause
  exit /b 2
)
%PY% -I "%~dp0install.py"
set "CODE=%ERRORLEVEL%"
pause
exit /b %CODE%
