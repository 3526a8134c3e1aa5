"""Tests of `bots/setup`."""
