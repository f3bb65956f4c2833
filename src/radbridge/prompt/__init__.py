"""The one prompt, for serving and for training alike (rule 7). A LoRA records the version it was trained with.

The text is plain and the sections are in a fixed order, so that a prefix cache shares what two drafts have in common.
The coarse text, when there is one, stands last: a small model copies best from what is nearest.
"""

from __future__ import annotations

from radbridge.prompt.build import EXAMPLES_SHOWN, build_prompt, readable_versions, shows_style
from radbridge.prompt.case import Context, PromptInput, Task
from radbridge.prompt.templates import PROMPT_VERSION, Template

__all__ = [
    "EXAMPLES_SHOWN",
    "PROMPT_VERSION",
    "Context",
    "PromptInput",
    "Task",
    "Template",
    "build_prompt",
    "readable_versions",
    "shows_style",
]
