"""Fetches a base model from the model hub: only for a config with `hub`, only when nothing is there.

The server itself stays offline. A process of its own: `python -m radbridge_model_server.models.hub REPO FOLDER`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from radbridge.errors import ConfigError
from radbridge_model_server.settings import Settings

_WANTED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.md")
"""No pickles: they could not be loaded anyhow."""


def fetch_base(settings: Settings) -> None:
    """Have the base in its folder. Raises ConfigError when the hub doesn't give it."""
    if not settings.hub or (settings.base / "config.json").is_file():
        return
    command = [sys.executable, "-m", "radbridge_model_server.models.hub", settings.hub, str(settings.base)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, env=os.environ | {"HF_HUB_OFFLINE": "0"}, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip() or "it ended without a word").splitlines()[-1]
        way_out = f"put its files into {settings.base} yourself, or see HF_TOKEN, HF_ENDPOINT and HTTPS_PROXY"
        raise ConfigError([f"hub: {settings.hub} can't be fetched ({reason}); {way_out}"])


def main(repo: str, folder: Path) -> None:
    """Fetch `repo` beside `folder`, then rename: a folder is whole or not there. One of several replicas does it."""
    from huggingface_hub import snapshot_download

    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "config.json").is_file():
            return
        staged = folder.with_name(f".{folder.name}.fetched")
        snapshot_download(repo, local_dir=staged, allow_patterns=list(_WANTED))
        if folder.is_dir():
            folder.rmdir()  # a folder with something in it is nobody's to remove
        staged.rename(folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
