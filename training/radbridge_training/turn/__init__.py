"""One turn of the learning loop: signed reports become a LoRA that is published, or a reason why not."""
