"""What the platform adds inside the processes that run a researcher's app."""
