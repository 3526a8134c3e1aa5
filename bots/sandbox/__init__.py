"""Simulated Slack, Discord and Nebula servers on this machine, for people and for tests."""
