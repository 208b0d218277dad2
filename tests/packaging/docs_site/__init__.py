"""Tests of the documentation site, in an environment of its own."""
