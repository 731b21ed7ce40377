"""What each command does, and how it says it."""
