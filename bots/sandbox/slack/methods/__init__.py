"""The Web API: its entry with limits and faults, the methods behind it, and response_urls."""
