"""Pictures of the platform API: what a request and its answer look like, and which bytes count as a picture."""
