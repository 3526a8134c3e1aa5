"""The operator's configuration and the settings of channels, each value with its origin."""
