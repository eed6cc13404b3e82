"""Where files come from: the Hub, Xet storage, offline bundles."""
