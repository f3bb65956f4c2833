"""Findings to draft from, all made up, and prompts with them."""

from __future__ import annotations

from radbridge.prompt import PromptInput, build_prompt

_ORGANS = ("right upper lobe", "left lower lobe", "liver", "spleen", "left kidney", "pancreatic tail")
_NORMAL = (
    "The heart is normal in size. The thoracic aorta is normal in caliber. No pleural or pericardial effusion. "
    "No enlarged mediastinal, hilar or axillary lymph nodes. The airways are patent. No acute osseous abnormality. "
    "The gallbladder is unremarkable without stones or wall thickening. No intrahepatic or extrahepatic biliary ductal "
    "dilatation. The adrenal glands are normal. No hydronephrosis or renal calculus. The stomach, small bowel and "
    "colon are normal in caliber. The appendix is normal. No free fluid or free air. The urinary bladder is distended "
    "and smooth. No enlarged retroperitoneal, mesenteric or inguinal lymph nodes. The abdominal aorta is normal "
    "in caliber without dissection or aneurysm. The portal, splenic and superior mesenteric veins are patent. "
    "Mild degenerative changes of the thoracic and lumbar spine. No suspicious lytic or sclerotic lesion. "
    "The visualized thyroid gland is unremarkable. The soft tissues of the chest wall are normal."
)


def make_findings(number: int) -> str:
    """One report's findings, another for every number."""
    organ = _ORGANS[number % len(_ORGANS)]
    return f"{_NORMAL} There is a {number + 3} mm lesion in the {organ}. There is a small hiatal hernia."


def make_prompt(number: int) -> str:
    """A prompt of some 270 tokens: vLLM's prefix cache on a CPU keeps them by the 128."""
    organ = _ORGANS[number % len(_ORGANS)]
    coarse = f"{number + 3} mm lesion in the {organ}. Small hiatal hernia."
    return build_prompt(PromptInput(findings=make_findings(number), modality="CT", coarse=coarse))
