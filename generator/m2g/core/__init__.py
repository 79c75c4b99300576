"""Values and small laws that every stage needs; it imports nothing else of m2g."""
