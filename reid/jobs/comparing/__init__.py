"""From run folders to groups that can be compared: reading, refusing, pairing, recording."""
