"""Deploy: which files are sent, their snapshot, the upload."""
