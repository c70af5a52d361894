"""Object storage: landing zones and publications in buckets of S3, or of what speaks its protocol."""
