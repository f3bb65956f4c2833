"""What turns prompts into text: `engine.Engine`, and what keeps its promises on each runtime."""
