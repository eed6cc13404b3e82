"""One module for each subject: collect the facts that the checks judge."""
