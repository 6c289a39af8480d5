"""Annotated items → splits that never cut a plan."""
