"""What the documentation site has beside the pages in docs/: the generated ones, and a hook."""
