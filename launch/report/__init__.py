"""One page about recorded benchmarks, to send: HTML, a PNG of its charts, or Markdown for a pull request."""
