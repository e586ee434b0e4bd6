"""The REST endpoints about people: reading, writing, merging, and the definitions staff manage."""
