"""One module for each subject: facts in, findings out. Pure."""
