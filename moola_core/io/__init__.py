"""Files of a job: JSON, events, digests."""
