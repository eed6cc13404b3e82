"""Create the tiny MiniMax-M2 checkpoint that the demo and the tests serve."""
