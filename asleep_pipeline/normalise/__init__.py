"""From what Asleep said, byte for byte, to typed rows with local times."""
