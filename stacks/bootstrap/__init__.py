"""What an AWS account has once, made before the first stack: dev and prod may share it."""
