"""From examples to a LoRA: TRL and PEFT optimize; the rows, the rewards and what is exported are ours."""
