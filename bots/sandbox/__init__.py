"""Slack, Discord and Nebula on this machine, for people and for tests."""
