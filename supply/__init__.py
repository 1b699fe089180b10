"""What the project rests on: licences and known weaknesses of its dependencies."""
