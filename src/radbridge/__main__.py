"""`python -m radbridge`."""

from radbridge.cli import app

app(prog_name="radbridge")
