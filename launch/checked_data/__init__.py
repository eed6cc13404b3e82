"""Files of data that are checked against a type when they are read: tables, recipes, the lock."""
