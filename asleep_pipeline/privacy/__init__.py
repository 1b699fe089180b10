"""What protects people: keyed hashes instead of ids, erasure, retention, encryption, audit."""
