@echo off
setlocal
if not exist "%~dp0env\Scripts\python.exe" (
  echo Not installed yet: run install.bat first.
  pause
  exit /b 2
)
"%~dp0env\Scripts\python.exe" -m train.cli tag "%~dp0plans" -o "%~dp0tagged.xlsx" --model "%~dp0bundle"
set "CODE=%ERRORLEVEL%"
pause
exit /b %CODE%
