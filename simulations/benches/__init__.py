"""What this costs, measured side by side: time, memory, bytes."""
