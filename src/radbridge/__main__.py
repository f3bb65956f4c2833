"""`python -m radbridge`."""

from radbridge.cli.app import app

app(prog_name="radbridge")
