"""What geomon does, one function a job: keys in, a small report out."""
