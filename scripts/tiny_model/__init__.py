"""Make the tiny MiniMax-M2 of the demo: its dialogues, its tokenizer and its training."""
