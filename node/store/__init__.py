"""What is kept: files, and the tables that say what is owed (SQLAlchemy 2; SQLite embedded)."""
