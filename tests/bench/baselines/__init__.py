"""What users would pick instead, and what the machine can do."""
