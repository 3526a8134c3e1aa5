"""What everything speaks of: values, errors and ports."""
