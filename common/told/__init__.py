"""What is told before anything leaves: costs in words, promises, every release."""
