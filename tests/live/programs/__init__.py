"""Programs that run in the environment of s3fs; it cannot share ours."""
