"""Everything that leaves the machine goes through here, once."""
